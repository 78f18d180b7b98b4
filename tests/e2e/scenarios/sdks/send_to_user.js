import { same } from "../../support.js";

/** An event for one user reaches the connection on which that user signed in. */
export default async function (stage) {
  const heard = stage.inbox("invoice.paid");
  const echo = await stage.signedIn("ann");
  echo.connector.pusher.user.bind("invoice.paid", heard.take);

  await stage.sdk.sendToUser("ann", "invoice.paid", { invoice: 7 });

  same(await heard.next(), { invoice: 7 });
}
