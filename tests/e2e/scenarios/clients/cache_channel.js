import { same } from "../../support.js";

/** A cache channel gives its last event to who comes late; who finds none is told so. */
export default async function (stage) {
  for (const kind of ["channel", "private"]) {
    const [missed, heard] = [stage.inbox("cache miss"), stage.inbox("forecast")];
    const early = stage.echo()[kind](stage.name("cache-weather")).listen(".pusher:cache_miss", missed.take);
    await stage.subscribed(early);
    await missed.next();
    await stage.publish(early.name, "forecast", { n: 1 });
    await stage.publish(early.name, "forecast", { n: 2 });

    const late = stage.echo()[kind](stage.name("cache-weather")).listen(".forecast", heard.take);
    same(await heard.next(), { n: 2 }, "what a late client hears first");
    await stage.publish(late.name, "forecast", { n: 3 });
    same(await heard.next(), { n: 3 }, "what comes after it");
  }
}
