import { same } from "../../support.js";

/** Everybody on a channel is told how many they are, where the application wants that. */
export default async function (stage) {
  const counts = stage.inbox("count");
  const name = stage.name("crowd");
  const crowd = stage.echo().channel(name);
  crowd.listen(".pusher:subscription_count", ({ subscription_count: count }) => counts.take(count));
  same(await counts.next(), 1, "alone");

  const other = stage.echo();
  await stage.subscribed(other.channel(name));
  same(await counts.next(), 2, "with another");
  other.leaveChannel(name);

  same(await counts.next(), 1, "alone again");
  same(crowd.subscription.subscriptionCount, 1, "what pusher-js remembers");
}
