import { same } from "../../support.js";

/** The socket that an event names does not hear it. */
export default async function (stage) {
  const [own, others] = [stage.inbox("own"), stage.inbox("others'")];
  const sender = stage.echo();
  const name = stage.name("orders");
  const mine = sender.channel(name).listen(".order.shipped", own.take);
  const theirs = stage.echo().channel(name).listen(".order.shipped", others.take);
  await stage.subscribed(mine, theirs);

  await stage.sdk.trigger(name, "order.shipped", { order: 7 }, { socketId: sender.socketId() });

  same(await others.next(), { order: 7 });
  await stage.fence(mine);
  same(own.all, []);
}
