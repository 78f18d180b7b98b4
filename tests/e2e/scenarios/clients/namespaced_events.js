import { same } from "../../support.js";

/** Echo's namespace, its leading dot and listenToAll find the names that a Laravel application sends. */
export default async function (stage) {
  const short = stage.inbox("OrderShipped in App.Events");
  const dotted = stage.inbox(".orders.shipped");
  const all = stage.inbox("all events");
  const orders = stage.echo().channel(stage.name("orders"));
  orders.listen("OrderShipped", short.take).listen(".orders.shipped", dotted.take);
  orders.listenToAll((event, data) => all.take([event, data]));
  await stage.subscribed(orders);

  await stage.publish(orders.name, "App\\Events\\OrderShipped", { order: 7 });
  await stage.publish(orders.name, "orders.shipped", { order: 8 });

  same(await short.next(), { order: 7 });
  same(await dotted.next(), { order: 8 });
  same([await all.next(), await all.next()], [["OrderShipped", { order: 7 }], [".orders.shipped", { order: 8 }]]);
}
