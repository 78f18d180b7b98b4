import { same } from "../../support.js";

/** On a presence channel the server says who whispers, whatever the whisper itself claims. */
export default async function (stage) {
  const room = stage.name("room");
  const heard = stage.inbox("whisper");
  const ann = stage.echo({ user: "ann" }).join(room);
  const bob = stage.echo({ user: "bob" }).join(room);
  bob.listenForWhisper("typing", (data, about) => heard.take({ data, from: about?.user_id }));
  await stage.subscribed(ann, bob);

  ann.whisper("typing", { user_id: "zoe" });
  const forged = { event: "client-typing", channel: ann.name, data: { forged: true }, user_id: "zoe" };
  ann.pusher.connection.send(JSON.stringify(forged));

  same(await heard.next(), { data: { user_id: "zoe" }, from: "ann" });
  same(await heard.next(), { data: { forged: true }, from: "ann" }, "a frame that names another sender");
}
