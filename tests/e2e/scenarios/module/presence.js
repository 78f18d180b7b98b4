import { echoOf, joined } from "../../module.js";
import { same } from "../../support.js";

/** Members see who is here, who comes and who goes, and whisper to each other. */
export default async function (stage) {
  const [ann, bob] = [await echoOf(stage), await echoOf(stage, { user: "bob" })];
  const [here, came, went, heard] = ["here", "came", "went", "heard"].map((what) => stage.inbox(what));
  const room = ann.join(stage.name("room"));
  room.here(here.take).joining(came.take).leaving(went.take).listenForWhisper("typing", heard.take);
  same(await here.next(), [{ name: "Ann" }]);

  const theirs = bob.join(stage.name("room"));
  await joined(stage, theirs);
  same(await came.next(), { name: "Bob" });
  theirs.whisper("typing", { on: true });
  same(await heard.next(), { on: true });
  bob.leave(stage.name("room"));
  same(await went.next(), { name: "Bob" });
}
