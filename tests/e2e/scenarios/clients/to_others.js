import { same } from "../../support.js";

/** An event sent to others leaves out the connection whose request caused it, and no other. */
export default async function (stage) {
  const [own, others] = [stage.inbox("own event"), stage.inbox("event")];
  const echo = stage.echo({ user: "ann" });
  const name = stage.name("orders");
  const ann = echo.private(name).listen(".order.shipped", own.take);
  const tab = stage.echo({ user: "ann" }).private(name).listen(".order.shipped", others.take);
  await stage.subscribed(ann, tab);

  await stage.publish(ann.name, "order.shipped", { order: 7 }, { others: echo });

  same(await others.next(), { order: 7 }, "what the other tab hears");
  await stage.fence(ann);
  same(own.all, [], "what the sender hears");
}
