// page.mjs: the page as its visitors use it, in Chromium, against a real server.
//
//   SOSIE_URL=http://127.0.0.1:5000 SOSIE_PHOTO=photo.jpg node tests/page.mjs
//
// Prints TAP; exits 1 if a check fails. With SOSIE_SHOTS=FOLDER it leaves
// pictures of the page there. SOSIE_CHROMIUM names another Chromium than
// Debian's.
//
// The browser meets the server through a relay of ours, which can be taken away
// and brought back: so "the server is down" is tested with a server that is.
import { readFile, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import { chromium } from "playwright-core";

const server = new URL(process.env.SOSIE_URL ?? "http://127.0.0.1:5000");
const shots = process.env.SOSIE_SHOTS;
const photo = await readFile(process.env.SOSIE_PHOTO ?? "");
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/* ---- checks -------------------------------------------------------------- */

let count = 0;
let failed = 0;

async function check(name, body) {
  try {
    await body();
    console.log(`ok ${++count} - ${name}`);
  } catch (error) {
    failed++;
    console.log(`not ok ${++count} - ${name}`);
    console.log(String(error.message).replace(/^/gm, "# "));
  }
}

function expect(found, wanted, what) {
  if (found !== wanted) throw new Error(`${what} is ${JSON.stringify(found)}, expected ${JSON.stringify(wanted)}`);
}

function expectTrue(value, what) {
  if (!value) throw new Error(what);
}

/* ---- the relay ----------------------------------------------------------- */

class Relay {
  sockets = new Set();

  async start(port = 0) {
    this.listener = net.createServer((from) => {
      const to = net.connect(Number(server.port || 80), server.hostname);
      for (const socket of [from, to]) {
        this.sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          this.sockets.delete(socket);
          from.destroy();
          to.destroy();
        });
      }
      from.pipe(to).pipe(from);
    });
    await new Promise((done) => this.listener.listen(port, "127.0.0.1", done));
    this.port = this.listener.address().port;
  }

  async stop() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((done) => this.listener.close(done));
  }
}

/* ---- what a visitor does ------------------------------------------------- */

const relay = new Relay();
await relay.start();
const home = `http://127.0.0.1:${relay.port}/`;
const browser = await chromium.launch({
  executablePath: process.env.SOSIE_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
page.setDefaultTimeout(15_000);

page.on("filechooser", () => {}); // from the start, or the first may be missed

const complaints = [];
const strangers = [];
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("request", (request) => {
  if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(home)) strangers.push(request.url());
});
// Chromium does not tell what a multipart body with a file holds: the page does.
const tellWhatIsSent = () => {
  const real = globalThis.fetch;
  globalThis.fetch = (address, options) => {
    if (options?.body) globalThis.lastSent = Object.fromEntries(options.body);
    return real(address, options);
  };
};
await page.addInitScript(tellWhatIsSent);

const tiles = page.locator("main ol > li");
const status = page.getByRole("status");
const alert = page.getByRole("alert");
const howMany = page.getByRole("spinbutton", { name: "How many" });
const cnn = page.getByRole("switch", { name: "Same class only" });
const classes = page.getByRole("group", { name: "Classes" });
const query = page.getByRole("img", { name: "What you are looking for" });

/** The text of a field of the last search; undefined if it was not sent. */
const sent = (field) => page.evaluate((name) => globalThis.lastSent[name], field);

/** Does something, and waits until a search that follows from it has settled. */
async function searching(act) {
  const answered = page.waitForResponse((response) => response.url().endsWith("/v1/search"));
  await Promise.all([answered, act()]);
  await page.locator("[aria-busy=true]").waitFor({ state: "detached" });
}

/** Drops or pastes a file as the browser would, from a real DataTransfer. */
async function give(event, bytes, name, type, on = page) {
  await on.evaluate(
    ([event, base64, name, type]) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], name, { type }));
      const at = { bubbles: true, cancelable: true };
      if (event === "paste") {
        document.body.dispatchEvent(new ClipboardEvent("paste", { ...at, clipboardData: data }));
        return;
      }
      for (const kind of ["dragenter", "dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(kind, { ...at, dataTransfer: data }));
    },
    [event, bytes.toString("base64"), name, type],
  );
}

const dropPhoto = () => searching(() => give("drop", photo, "photo.jpg", "image/jpeg"));

/** A JPEG with an Exif part that says: turn it by 90 degrees. */
function turned(jpeg) {
  const tiff = "49492a0008000000" + "0100" + "1201030001000000" + "06000000" + "00000000";
  const exif = Buffer.concat([Buffer.from("Exif\0\0"), Buffer.from(tiff, "hex")]);
  return Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, 0xe1, 0, exif.length + 2]), exif, jpeg.subarray(2)]);
}

/** Waits for a picture, and tells its size. */
const sizeOf = (picture) => picture.evaluate((img) => img.decode().then(() => `${img.naturalWidth}x${img.naturalHeight}`));

/** Answers the next search in the server's place. */
const answerOnce = (answer) => page.route("**/v1/search", (route) => route.fulfill(answer), { times: 1 });

/** Scrolls through the page so that lazy images come, and expects every one. */
async function expectPictures() {
  for (const tile of await tiles.all()) {
    await tile.scrollIntoViewIfNeeded();
    await tile.locator("img").evaluate(
      (img) => img.complete || new Promise((done) => ["load", "error"].forEach((e) => img.addEventListener(e, done))),
    );
  }
  const blank = await tiles.locator("img").evaluateAll((all) => all.filter((img) => !img.naturalWidth).map((img) => img.src));
  expect(blank.join(" "), "", "the list of pictures that are missing");
  await page.evaluate(() => scrollTo(0, 0));
}

async function shot(name) {
  if (!shots) return;
  await mkdir(shots, { recursive: true });
  await page.screenshot({ path: path.join(shots, `${name}.png`) });
}

/** No violation that axe knows, in light and in dark; a picture of each. */
async function expectAccessible(name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await shot(`${name}-${colorScheme}`);
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run());
    const told = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join("; ")}`);
    expect(told.join("\n"), "", `${colorScheme} mode's list of violations`);
  }
  await page.emulateMedia({ colorScheme: "light", reducedMotion: null });
}

/* ---- the checks ---------------------------------------------------------- */

await check("the page opens", async () => {
  await page.goto(home);
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.getByRole("button", { name: "Choose a photo" }).waitFor();
});

await check("the empty page is accessible", () => expectAccessible("home"));

await check("the keyboard alone opens the file chooser", async () => {
  const button = page.getByRole("button", { name: "Choose a photo" });
  for (let i = 0; i < 5 && !(await button.evaluate((b) => b === document.activeElement)); i++) await page.keyboard.press("Tab");
  const chooser = page.waitForEvent("filechooser");
  await page.keyboard.press("Enter");
  await chooser;
});

await check("a dropped photo is searched at once, and 12 products come with their pictures", async () => {
  await dropPhoto();
  expect(await tiles.count(), 12, "the number of products");
  expect(await sent("crop"), undefined, "the crop");
  expectTrue(/^12 /.test(await status.innerText()), `the status says ${await status.innerText()}`);
  await expectPictures();
});

await check("every product has its class and its score", async () => {
  for (const text of await tiles.allInnerTexts()) expectTrue(/\d+\s?%/.test(text), `a product without a score: ${text}`);
  expectTrue((await classes.getByRole("button").count()) > 0, "no predicted class is shown");
});

await check("the results are accessible", () => expectAccessible("results"));

await check("another count brings as many products", async () => {
  await searching(() => howMany.fill("5"));
  expect(await sent("limit"), "5", "the limit");
  expect(await tiles.count(), 5, "the number of products");
});

await check("the CNN can be switched off", async () => {
  expect(await sent("within_predicted"), "true", "within_predicted");
  await searching(() => cnn.click());
  expect(await sent("within_predicted"), "false", "within_predicted");
  expect(await tiles.count(), 5, "the number of products");
});

await check("count and switch are remembered", async () => {
  await page.reload();
  await dropPhoto();
  expect(await howMany.inputValue(), "5", "the count");
  expect(await cnn.isChecked(), false, "the switch");
  await searching(() => howMany.fill("24"));
  await searching(() => cnn.click());
});

await check("a click on a class keeps to it, another one lets go", async () => {
  const chip = classes.getByRole("button", { pressed: false }).first();
  await searching(() => chip.click());
  const name = await sent("class");
  expectTrue(name, "no class was sent");
  const pressed = classes.getByRole("button", { pressed: true });
  expectTrue((await pressed.innerText()).startsWith(name), "the class is not shown as chosen");
  const urls = await tiles.locator("img").evaluateAll((all) => all.map((img) => new URL(img.src).pathname.split("/")[3]));
  expectTrue(urls.every((part) => decodeURIComponent(part) === name), `not all are ${name}: ${urls}`);
  await searching(() => pressed.click());
  expect(await sent("class"), undefined, "the class");
});

await check("a slider for each aspect weighs it", async () => {
  const slider = (name) => page.getByRole("slider", { name });
  expect(await slider("Shape").inputValue(), "100", "the usual weight");
  expect(await slider("Colour").inputValue(), "55", "the usual weight");
  await searching(() => slider("Colour").press("End"));
  expect(await sent("weights"), '{"shape":1,"colour":1}', "the weights");
  await searching(() => slider("Shape").press("Home"));
  expect(await sent("weights"), '{"shape":0,"colour":1}', "the weights");
  await searching(() => slider("Colour").press("Home"));
  expect(await sent("weights"), '{"shape":0,"colour":0.01}', "the weights");
  await searching(() => page.getByRole("button", { name: "Reset" }).click());
  expect(await sent("weights"), undefined, "the weights");
});

await check("a part of the photo can be searched", async () => {
  const box = await query.boundingBox();
  await searching(async () => {
    await page.mouse.move(box.x + box.width * 0.25, box.y + box.height * 0.25);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.75, box.y + box.height * 0.75, { steps: 5 });
    await page.mouse.up();
  });
  const crop = JSON.parse(await sent("crop"));
  for (const [side, wanted] of Object.entries({ x: 0.25, y: 0.25, w: 0.5, h: 0.5 }))
    expectTrue(Math.abs(crop[side] - wanted) < 0.02, `${side} of the crop is ${crop[side]}, expected ${wanted}`);
  await expectPictures();
  await shot("crop");
  await searching(() => page.getByRole("button", { name: "Search the whole photo" }).click());
  expect(await sent("crop"), undefined, "the crop");
});

await check("the keyboard alone makes and moves a crop", async () => {
  await searching(() => page.getByRole("button", { name: "Search a part" }).press("Enter"));
  const before = JSON.parse(await sent("crop"));
  await page.locator(".ReactCrop__crop-selection").focus();
  await searching(() => page.keyboard.press("ArrowDown"));
  expectTrue(JSON.parse(await sent("crop")).y > before.y, "the crop did not move down");
});

await check("more like a product, and Back to the photo", async () => {
  await searching(() => tiles.nth(2).getByRole("button").click());
  expectTrue(await sent("item"), "no item was sent");
  await expectPictures();
  await shot("more");
  await searching(() => page.goBack());
  expect(await sent("item"), undefined, "the item");
  await query.waitFor();
});

await check("a pasted photo is searched", async () => {
  await searching(() => give("paste", photo, "pasted.jpg", "image/jpeg"));
  expectTrue((await tiles.count()) > 0, "there are no products");
});

await check("a large photo is made small and upright before it travels", async () => {
  const large = await page.evaluate(() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 3000, height: 1500 });
    canvas.getContext("2d").fillRect(500, 500, 900, 600);
    return canvas.toDataURL("image/jpeg").split(",")[1];
  });
  await searching(() => give("drop", turned(Buffer.from(large, "base64")), "large.jpg", "image/jpeg"));
  expect(await sizeOf(query), "1500x3000", "the size of the photo that is shown");
  const size = await page.evaluate(async () => {
    const { width, height } = await createImageBitmap(globalThis.lastSent.image);
    return `${width}x${height}`;
  });
  expect(size, "512x1024", "the size of the photo that is sent");
});

await check("a file that is no photo gets an answer that says so", async () => {
  complaints.length = 0;
  await searching(() => give("drop", Buffer.from("These are words.\n"), "words.txt", "text/plain"));
  expectTrue(/JPEG/.test(await alert.innerText()), `the page says ${await alert.innerText()}`);
  complaints.length = 0; // Chromium notes every answer that is not a success
  await expectAccessible("refused");
});

await check("500 products come and stay in the page's width on a phone", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.reload();
  await expectAccessible("phone-home");
  await dropPhoto();
  await page.locator("main ol img").first().evaluate((img) => img.decode());
  await expectAccessible("phone-results");
  await page.getByRole("button", { name: "Settings" }).click();
  await searching(() => howMany.fill("500"));
  expectTrue((await tiles.count()) > 12, "there are no more products");
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(width, 390, "the width of the page");
  await searching(() => howMany.fill("12"));
  await page.setViewportSize({ width: 1280, height: 900 });
});

await check("a finger scrolls over the photo, and crops once that is asked for", async () => {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const phone = await context.newPage();
  phone.setDefaultTimeout(15_000);
  await phone.addInitScript(tellWhatIsSent);
  await phone.goto(home);
  await give("drop", photo, "photo.jpg", "image/jpeg", phone);
  const shown = phone.getByRole("img", { name: "What you are looking for" });
  const touchAction = () => shown.evaluate((img) => getComputedStyle(img).touchAction);
  await phone.locator("main ol > li").first().waitFor();
  expect(await touchAction(), "auto", "touch-action");
  await phone.getByRole("button", { name: "Search a part" }).tap();
  await phone.waitForFunction(() => globalThis.lastSent.crop);
  expect(await touchAction(), "none", "touch-action");
  await context.close();
});

await check("nothing was asked of anyone else, and nothing was complained about", async () => {
  expect(strangers.join(" "), "", "the list of requests to others");
  expect(complaints.join("\n"), "", "the console");
});

await check("a search that is overtaken is given up", async () => {
  await page.route("**/v1/search", () => {}, { times: 1 }); // is never answered
  const given = page.waitForEvent("requestfailed");
  const asked = page.waitForRequest("**/v1/search");
  await howMany.fill("9");
  await asked;
  await searching(() => howMany.fill("7"));
  expect((await given).failure().errorText, "net::ERR_ABORTED", "the end of the first search");
  expect(await tiles.count(), 7, "the number of products");
});

await check("no look-alikes is told as such", async () => {
  const nothing = { classes: [], hits: [], exact: true, next: null, took_ms: { decode: 1, embed: 1, search: 1, total: 3 }, request_id: "1" };
  await answerOnce({ json: nothing });
  await searching(() => howMany.fill("6"));
  await page.getByText("Nothing here looks like it").waitFor();
  expectTrue(/^0 /.test(await status.innerText()), `the status says ${await status.innerText()}`);
});

await check("a busy server is asked again when it wants to be", async () => {
  const busy = { error: { code: "unavailable", message: "too many searches", request_id: "1" } };
  await answerOnce({ status: 503, headers: { "Retry-After": "1" }, json: busy });
  await searching(async () => {
    await howMany.fill("5");
    await alert.waitFor();
    expectTrue(/busy/.test(await alert.innerText()), `the page says ${await alert.innerText()}`);
    await page.waitForResponse((response) => response.url().endsWith("/v1/search") && response.ok());
  });
  expect(await alert.count(), 0, "the number of errors");
  expect(await tiles.count(), 5, "the number of products");
});

await check("a server that is down is told, and Try again goes on when it is back", async () => {
  await relay.stop();
  await howMany.fill("8");
  await alert.waitFor();
  expectTrue(/reach/.test(await alert.innerText()), `the page says ${await alert.innerText()}`);
  await expectAccessible("offline");
  await relay.start(relay.port);
  await searching(() => page.getByRole("button", { name: "Try again" }).click());
  expect(await alert.count(), 0, "the number of errors");
  expect(await tiles.count(), 8, "the number of products");
});

console.log(`1..${count}`);
await browser.close();
await relay.stop();
process.exit(failed ? 1 : 0);
