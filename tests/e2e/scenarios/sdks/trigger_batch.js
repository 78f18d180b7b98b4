import { same } from "../../support.js";

/** A batch is many events in one request, each to its channel, in order, each with its own exclusion. */
export default async function (stage) {
  const echo = stage.echo();
  const heard = stage.inbox("event of the batch");
  const [news, orders] = [echo.channel(stage.name("news")), echo.private(stage.name("orders"))];
  for (const channel of [news, orders]) {
    channel.listenToAll((event, data) => heard.take([channel.name, event, data]));
  }
  await stage.subscribed(news, orders);
  const socket_id = echo.socketId();

  const answer = await stage.sdk.triggerBatch([
    { channel: news.name, name: "first", data: { n: 1 } },
    { channel: news.name, name: "unheard", data: {}, socket_id },
    { channel: orders.name, name: "second", data: { n: 2, empty: {} } },
    { channel: news.name, name: "third", data: { n: 3 } },
  ]);

  same(answer, {}, "the answer");
  await stage.fence(news);
  same(heard.all.slice(0, 3), [
    [news.name, ".first", { n: 1 }],
    [orders.name, ".second", { n: 2, empty: {} }],
    [news.name, ".third", { n: 3 }],
  ]);
}
