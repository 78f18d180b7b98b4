import { same } from "../../support.js";

/** Anybody may listen, and what arrives is what was sent. */
export default async function (stage) {
  const data = {
    text: "zażółć ☃ 👩‍🚀 \"quoted\" \\ </script> \u0000 \u2028",
    nested: { list: [1, -2.5, [], [{}], { deeper: { deepest: null } }] },
    empty: {},
    yes: true,
    largest: Number.MAX_SAFE_INTEGER,
  };
  const shipped = stage.inbox("order.shipped");
  const orders = stage.echo().channel(stage.name("orders")).listen(".order.shipped", shipped.take);
  await stage.subscribed(orders);

  await stage.publish(orders.name, "order.shipped", data);

  same(await shipped.next(), data, "the event's data");
}
