import { echoOf, joined } from "../../module.js";
import { same } from "../../support.js";

/** Public and private channels bring the application's events, until they are left. */
export default async function (stage) {
  const echo = await echoOf(stage);
  const open = echo.channel(stage.name("news"));
  const closed = echo.private(stage.name("news"));
  const [news, all, secret] = [stage.inbox("news"), stage.inbox("everything"), stage.inbox("secret")];
  open.listen("Announced", news.take).listenToAll((event, data) => all.take([event, data]));
  closed.listen(".Announced", secret.take);
  await Promise.all([joined(stage, open), joined(stage, closed)]);

  await stage.publish([open.name, closed.name], "Announced", { number: 1 });
  same(await news.next(), { number: 1 });
  same(await secret.next(), { number: 1 });
  same(await all.next(), ["Announced", { number: 1 }]);

  open.stopListening("Announced");
  await stage.publish([open.name], "Announced", { number: 2 });
  same(await all.next(), ["Announced", { number: 2 }]);
  same(news.all.length, 1);

  echo.leave(stage.name("news"));
  const again = echo.channel(stage.name("news"));
  const later = stage.inbox("news after coming back");
  again.listen("Announced", later.take);
  await joined(stage, again);
  await stage.publish([open.name, closed.name], "Announced", { number: 3 });
  same(await later.next(), { number: 3 });
  same([news.all.length, secret.all.length, all.all.length], [1, 1, 2]);
}
