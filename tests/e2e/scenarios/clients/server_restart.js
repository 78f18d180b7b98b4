import { same } from "../../support.js";

/** A server that is stopped says goodbye; clients come back, join again and hear again, unasked. */
export default async function (stage) {
  const [heard, here, closed] = [stage.inbox("headline"), stage.inbox("here"), stage.inbox("close")];
  const echo = stage.echo({ user: "ann" });
  const listen = (channel) => channel.listen(".headline", ({ n }) => heard.take([channel.name, n]));
  const news = listen(echo.channel(stage.name("news")));
  const guarded = listen(echo.private(stage.name("orders")));
  const room = listen(echo.join(stage.name("room"))).here(here.take);
  await stage.subscribed(news, guarded);
  await here.next();
  const before = echo.socketId();
  echo.connector.pusher.connection.connection.transport.bind("closed", closed.take);
  const back = [news, guarded].map((channel) =>
    stage.until(`${channel.name} again`, (done) => channel.subscribed(done)),
  );

  same(await stage.restart("SIGTERM"), 0, "the server's exit code");

  same((await closed.next()).code, stage.goodbye, "the close code");
  await Promise.all(back);
  same(await here.next(), [{ name: "Ann" }], "who is here after the restart");
  await stage.backOn(echo, news, guarded, room);
  same(echo.socketId() === before, false, "a new connection has a new socket id");
  for (const [n, channel] of [news, guarded, room].entries()) {
    await stage.publish(channel.name, "headline", { n });
    same(await heard.next(), [channel.name, n], "an event after the restart");
  }
}
