import { same } from "../../support.js";

/** Who signs in with a watchlist hears who of it is there, and then who comes and who goes. */
export default async function (stage) {
  const [online, offline] = [stage.inbox("online"), stage.inbox("offline")];
  const friend = stage.name("friend");
  const watcher = stage.echo({ user: stage.name("watcher"), headers: { "X-Test-Watchlist": friend } });
  const { watchlist } = watcher.connector.pusher.user;
  watchlist.bind("online", ({ user_ids: ids }) => online.take(ids));
  watchlist.bind("offline", ({ user_ids: ids }) => offline.take(ids));

  watcher.connector.signin();
  same(await offline.next(), [friend], "who is away at first");
  const [tab, other] = [await stage.signedIn(friend), await stage.signedIn(friend)];
  same(await online.next(), [friend], "who has come");
  tab.disconnect();
  other.disconnect();

  same(await offline.next(), [friend], "who has gone");
  same(online.all, [[friend]], "a second tab comes unnoticed");
}
