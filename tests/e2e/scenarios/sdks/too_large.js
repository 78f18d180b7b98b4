import { same } from "../../support.js";

/** Data of 10,240 bytes goes through; one byte more is answered with 413 and reaches nobody. */
export default async function (stage) {
  const heard = stage.inbox("text");
  const news = stage.echo().channel(stage.name("news")).listen(".text", heard.take);
  await stage.subscribed(news);
  const send = (bytes) => stage.sdk.trigger(news.name, "text", { text: "x".repeat(bytes - overhead(stage.sdk)) });

  await send(10_240);
  same((await heard.next()).text.length > 10_000, true, "the text arrived");

  same(await send(10_241).then(() => 200, (error) => error.status), 413);
  await stage.fence(news);
  same(heard.all.length, 1);
}

/** How many bytes an SDK writes around the text: Python's puts a space after the colon. */
function overhead(sdk) {
  return '{"text":""}'.length + (sdk.name === "python" ? 1 : 0);
}
