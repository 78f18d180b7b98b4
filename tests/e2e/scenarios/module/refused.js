import { echoOf, joined } from "../../module.js";
import { same } from "../../support.js";

/** A channel that the application refuses says so; the connection lives on. */
export default async function (stage) {
  const echo = await echoOf(stage);
  const refused = stage.inbox("refusal");
  echo.private(stage.name("forbidden")).error(refused.take);

  const { type, status } = await refused.next();
  same([type, status], ["AuthError", 403]);
  await joined(stage, echo.private(stage.name("allowed")));
}
