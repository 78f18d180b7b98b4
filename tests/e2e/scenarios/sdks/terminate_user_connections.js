import { same } from "../../support.js";

/** A user who is thrown out is disconnected in every tab with 4009 and stays out; others stay in. */
export default async function (stage) {
  const closed = stage.inbox("close");
  const tabs = [await stage.signedIn("ann"), await stage.signedIn("ann")];
  const bob = await stage.signedIn("bob");
  const socket = bob.socketId();
  tabs.forEach(({ connector }) => connector.pusher.connection.connection.transport.bind("closed", closed.take));

  same(await stage.sdk.terminateUserConnections("ann"), {}, "the answer");

  same([(await closed.next()).code, (await closed.next()).code], [4009, 4009], "close codes");
  await stage.fence(bob.channel(stage.name("lobby")));
  same(tabs.map(({ connector }) => connector.pusher.connection.state), ["disconnected", "disconnected"]);
  same(bob.socketId(), socket, "bob's socket");
}
