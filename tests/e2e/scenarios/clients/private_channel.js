import { same } from "../../support.js";

/** A private channel is joined with the application's signature. */
export default async function (stage) {
  const shipped = stage.inbox("order.shipped");
  const orders = stage.echo().private(stage.name("orders.7")).listen(".order.shipped", shipped.take);
  await stage.subscribed(orders);

  await stage.publish(orders.name, "order.shipped", { order: 7 });

  same(orders.name.startsWith("private-orders.7"), true);
  same(await shipped.next(), { order: 7 });
}
