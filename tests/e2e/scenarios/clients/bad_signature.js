import { same } from "../../support.js";

/** A signature made with another secret opens nothing: not a private channel, not a presence channel. */
export default async function (stage) {
  const [refused, heard, joining] = [stage.inbox("refusal"), stage.inbox("secret"), stage.inbox("joining")];
  const room = stage.name("room");
  const ann = stage.echo({ user: "ann" }).join(room).joining(joining.take);
  await stage.subscribed(ann);

  const forger = stage.echo({ user: "bob", headers: { "X-Test-Secret": "guessed" } });
  const vault = forger.private(stage.name("vault")).listen(".secret", heard.take).error(refused.take);
  forger.join(room).listen(".secret", heard.take).error(refused.take);
  for (const refusal of [await refused.next(), await refused.next()]) {
    same([refusal.type, refusal.status], ["AuthError", 401]);
  }

  await stage.publish([vault.name, ann.name], "secret", { code: 1234 });
  const lobby = forger.channel(stage.name("lobby"));
  await stage.subscribed(lobby);
  await stage.fence(lobby);
  await stage.fence(ann);
  same([heard.all, joining.all], [[], []], "what the forger hears, whom ann sees join");
}
