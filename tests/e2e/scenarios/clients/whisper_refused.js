import { same } from "../../support.js";

/** A public channel carries no client events, and neither does a channel that the sender never joined. */
export default async function (stage) {
  const [heard, errors] = [stage.inbox("client event"), stage.inbox("error")];
  const ann = stage.echo({ user: "ann" });
  const lobby = stage.echo({ user: "bob" }).channel(stage.name("lobby")).listenForWhisper("shout", heard.take);
  const chat = stage.echo({ user: "bob" }).private(stage.name("chat")).listenForWhisper("shout", heard.take);
  await stage.subscribed(lobby, chat, ann.channel(stage.name("lobby")));
  const { connection } = ann.connector.pusher;
  connection.bind("error", errors.take);

  connection.send_event("client-shout", {}, lobby.name);
  same((await errors.next()).type, "PusherError", "the answer on a public channel");
  connection.send_event("client-shout", {}, chat.name);
  same((await errors.next()).type, "PusherError", "the answer on a channel not joined");

  await stage.fence(lobby);
  await stage.fence(chat);
  same(heard.all, [], "what the others hear");
  same(connection.state, "connected", "the sender's state");
}
