import { same } from "../../support.js";

/** Data need not be an object, and an empty object does not turn into an empty list. */
export default async function (stage) {
  const shapes = [{}, [], [[]], [{}], "plain text", "", 0, 12.5, false, null, { "": { "": {} } }];
  const heard = stage.inbox("shape");
  const shapely = stage.echo().channel(stage.name("shapes")).listen(".shape", heard.take);
  await stage.subscribed(shapely);

  for (const shape of shapes) {
    await stage.publish(shapely.name, "shape", shape);
    same(await heard.next(), shape);
  }
}
