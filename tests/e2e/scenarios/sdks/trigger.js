import { same } from "../../support.js";

/** One event on one channel: the answer is an object, and a subscribed client hears it. */
export default async function (stage) {
  const data = { text: "zażółć ☃", nested: { empty: {}, list: [] } };
  const heard = stage.inbox("order.shipped");
  const orders = stage.echo().channel(stage.name("orders")).listen(".order.shipped", heard.take);
  await stage.subscribed(orders);

  same(await stage.sdk.trigger(orders.name, "order.shipped", data), {}, "the answer");

  same(await heard.next(), data);
}
