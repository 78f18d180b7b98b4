import { same } from "../../support.js";

/** After leaving a channel nothing of it arrives; the others go on, and one may come back. */
export default async function (stage) {
  const echo = stage.echo();
  const heard = stage.inbox("headline");
  const [left, kept] = [stage.name("left"), stage.name("kept")];
  const old = echo.channel(left).listen(".headline", heard.take);
  const stays = echo.channel(kept);
  await stage.subscribed(old, stays);

  const frames = stage.inbox("frame");
  echo.connector.pusher.connection.bind("message", ({ channel, event }) => frames.take([channel, event]));
  echo.leave(left);
  await stage.drained(echo);
  await stage.publish(left, "headline", { n: 1 });
  await stage.fence(stays);
  same(frames.all.filter(([channel]) => channel === left), [], "frames of the channel that was left");

  const back = echo.channel(left).listen(".headline", heard.take);
  await stage.subscribed(back);
  await stage.publish(left, "headline", { n: 2 });
  same(await heard.next(), { n: 2 }, "the first event after coming back");
}
