import { same } from "../../support.js";

/** Two tabs of one user are one member: it joins with the first and leaves with the last. */
export default async function (stage) {
  const room = stage.name("room");
  const [joining, leaving] = [stage.inbox("joining"), stage.inbox("leaving")];
  const ann = stage.echo({ user: "ann" }).join(room).joining(joining.take).leaving(leaving.take);
  await stage.subscribed(ann);

  const [first, second] = [stage.echo({ user: "bob" }), stage.echo({ user: "bob" })];
  await stage.subscribed(first.join(room), second.join(room));
  await stage.fence(ann);
  same(joining.all, [{ name: "Bob" }], "joins with two tabs open");
  same(second.join(room).subscription.members.count, 2, "members seen by the second tab");

  first.leave(room);
  await stage.drained(first);
  await stage.fence(ann);
  same(leaving.all, [], "leaves with one tab still open");

  second.disconnect();
  same(await leaving.next(), { name: "Bob" });
  await stage.fence(ann);
  same([joining.all.length, leaving.all.length], [1, 1], "joins and leaves in all");
}
