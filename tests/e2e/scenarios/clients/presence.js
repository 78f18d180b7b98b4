import { same } from "../../support.js";

/** Members see who is here, who joins and who leaves, each with what the application says of them. */
export default async function (stage) {
  const room = stage.name("room");
  const [here, joining, leaving] = ["here", "joining", "leaving"].map((what) => stage.inbox(`ann's ${what}`));
  const ann = stage.echo({ user: "ann" }).join(room);
  ann.here(here.take).joining(joining.take).leaving(leaving.take);
  same(await here.next(), [{ name: "Ann" }], "ann alone");

  const zoeHere = stage.inbox("zoe's here");
  const zoe = stage.echo({ user: "zoe" });
  const zoeInRoom = zoe.join(room).here(zoeHere.take);
  same(byName(await zoeHere.next()), [{ name: "Ann" }, { name: "Zoë ☃" }], "who zoe finds");
  same(await joining.next(), { name: "Zoë ☃" }, "who ann sees join");
  same(me(zoeInRoom), { id: "zoe", info: { name: "Zoë ☃" } }, "zoe to herself");
  same(ann.subscription.members.count, 2, "ann's count");

  zoe.leave(room);
  same(await leaving.next(), { name: "Zoë ☃" }, "who ann sees leave");
  same(ann.subscription.members.count, 1, "ann's count");

  const bob = stage.echo({ user: "bob" });
  bob.join(room);
  same(await joining.next(), { name: "Bob" }, "who joins next");
  bob.disconnect();
  same(await leaving.next(), { name: "Bob" }, "whose connection ended");
  same([here.all.length, joining.all.length, leaving.all.length], [1, 2, 2], "here, joining, leaving");
}

function byName(members) {
  return members.sort((left, right) => (left.name < right.name ? -1 : 1));
}

function me(channel) {
  const { id, info } = channel.subscription.members.me;
  return { id, info };
}
