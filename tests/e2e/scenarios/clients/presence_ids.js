import { same } from "../../support.js";

/** An application whose user ids are numbers, and members of whom it says nothing, are as welcome. */
export default async function (stage) {
  const joined = stage.inbox("member added");
  const first = stage.echo({ user: "7" }).join(stage.name("room"));
  first.on("pusher:member_added", joined.take);
  await stage.subscribed(first);
  same(first.subscription.members.me.info, { name: "Number Seven" }, "a member with a number");

  const quiet = stage.echo({ user: "nameless" }).join(stage.name("room"));
  await stage.subscribed(quiet);

  same((await joined.next()).id, "nameless", "who joined");
  same(quiet.subscription.members.me.id, "nameless", "a member without info");
  same(Object.keys(quiet.subscription.members.members).sort(), ["7", "nameless"], "everybody here");
}
