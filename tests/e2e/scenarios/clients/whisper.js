import { same } from "../../support.js";

/** A whisper reaches the others on a private channel, as it was said, and never the whisperer. */
export default async function (stage) {
  const said = { text: "psst ☃", empty: {}, list: [] };
  const [own, others] = [stage.inbox("own whisper"), stage.inbox("whisper")];
  const chat = stage.name("chat");
  const ann = stage.echo({ user: "ann" }).private(chat).listenForWhisper("typing", own.take);
  const bob = stage.echo({ user: "bob" }).private(chat).listenForWhisper("typing", others.take);
  const tab = stage.echo({ user: "ann" }).private(chat).listenForWhisper("typing", others.take);
  await stage.subscribed(ann, bob, tab);

  ann.whisper("typing", said);

  same([await others.next(), await others.next()], [said, said], "what bob and ann's other tab hear");
  await stage.fence(ann);
  same(own.all, [], "what the whisperer hears");
}
