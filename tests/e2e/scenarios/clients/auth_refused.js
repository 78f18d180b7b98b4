import { same } from "../../support.js";

/** When the application refuses with 403, Echo's error listener learns it; the connection lives on. */
export default async function (stage) {
  const refused = stage.inbox("refusal");
  const echo = stage.echo();
  echo.private(stage.name("forbidden")).error(refused.take);
  echo.join(stage.name("forbidden")).error(refused.take);

  for (const refusal of [await refused.next(), await refused.next()]) {
    same([refusal.type, refusal.status], ["AuthError", 403]);
  }
  await stage.subscribed(echo.private(stage.name("allowed")));
}
