import { same } from "../../support.js";

/** A request signed with another secret is answered with 401, and nobody hears its event. */
export default async function (stage) {
  const heard = stage.inbox("order.shipped");
  const orders = stage.echo().channel(stage.name("orders")).listen(".order.shipped", heard.take);
  await stage.subscribed(orders);
  const forger = stage.sdk.withSecret("guessed");

  const attempts = [
    () => forger.trigger(orders.name, "order.shipped", {}),
    () => forger.triggerBatch([{ channel: orders.name, name: "order.shipped", data: {} }]),
    () => forger.channelsInfo(),
    () => forger.channelInfo(orders.name),
    () => forger.usersInfo(`presence-${stage.name("room")}`),
  ];
  for (const attempt of attempts) {
    same(await attempt().then(() => 200, (error) => error.status), 401, String(attempt));
  }

  await stage.fence(orders);
  same(heard.all, []);
}
