import { same } from "../../support.js";

/** A user who signed in hears what is sent to that user, in every tab, and nobody else does. */
export default async function (stage) {
  const [heard, overheard] = [stage.inbox("ann's event"), stage.inbox("bob's event")];
  const tabs = [await stage.signedIn("ann"), await stage.signedIn("ann")];
  tabs.forEach(({ connector }) => connector.pusher.user.bind("invoice.paid", heard.take));
  const { user: bob } = (await stage.signedIn("bob")).connector.pusher;
  bob.bind("invoice.paid", overheard.take);

  await stage.publish("#server-to-user-ann", "invoice.paid", { invoice: 7 });
  await stage.publish("#server-to-user-bob", "invoice.paid", { invoice: 8 });

  same(bob.user_data, { id: "bob" }, "who signed in");
  same([await heard.next(), await heard.next()], [{ invoice: 7 }, { invoice: 7 }], "what ann's tabs hear");
  same(await overheard.next(), { invoice: 8 }, "what bob hears first");
}
