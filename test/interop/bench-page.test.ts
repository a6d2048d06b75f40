/** The page of `keyless-tls bench` in a browser: on a phone, on a desk, in the dark, on paper. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { page } from '../../lib/cli/bench/page.ts';
import { QUESTIONS } from '../../lib/cli/bench/questions.ts';
import { askAll } from '../../lib/cli/bench/run.ts';
import { Browser, type Look } from '../helpers/browser.ts';

interface Facts {
  /** How wide the content is, CSS pixels. */
  readonly width: number;
  readonly headings: number;
  readonly plots: number;
  /** Of the text in plots that is smallest on the screen, CSS pixels high. */
  readonly smallest: number;
  /** Texts of plots that reach out of their plot. */
  readonly outside: readonly string[];
  readonly ink: string;
  readonly paper: string;
  readonly navigation: string;
  /** Tables that are wider than what is seen of them. */
  readonly scrolling: number;
  /** Of those, the ones without a word about it. */
  readonly silent: number;
  readonly landmarks: number;
}

/** Evaluated in the page. */
const FACTS = `(() => {
  const texts = [...document.querySelectorAll('svg text')];
  const size = (text) => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a;
  const isOutside = (text) => {
    const [inner, outer] = [text.getBoundingClientRect(), text.closest('svg').getBoundingClientRect()];
    return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1;
  };
  const style = getComputedStyle(document.body);
  const scrolling = [...document.querySelectorAll('.wide')].filter((each) => each.scrollWidth > each.clientWidth + 1);
  const isTold = (each) => each.previousElementSibling?.classList.contains('hint') && getComputedStyle(each.previousElementSibling).display === 'block';
  return {
    width: document.documentElement.scrollWidth,
    headings: document.querySelectorAll('h2').length,
    plots: document.querySelectorAll('svg').length,
    smallest: Math.min(...texts.map(size)),
    outside: texts.filter(isOutside).map((text) => text.textContent),
    ink: style.color,
    paper: style.backgroundColor,
    navigation: getComputedStyle(document.querySelector('nav') ?? document.body).display,
    scrolling: scrolling.length,
    silent: scrolling.filter((each) => !isTold(each)).length,
    landmarks: document.querySelectorAll('main').length,
  };
})()`;

const PHONE: Look = { width: 360, height: 740, scheme: 'light' };
const DESK: Look = { width: 1280, height: 900, scheme: 'light' };
/** So short that the figures mean nothing: it is the page that is looked at. */
const TINY = { quick: true, rounds: 2, roundMs: 60, warmUpMs: 100 };

let browser: Browser;
let folder: string;
let url: string;

async function put(name: string, html: string): Promise<string> {
  await writeFile(join(folder, name), html);
  return pathToFileURL(join(folder, name)).href;
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyless-tls-page-'));
  const report = await askAll(QUESTIONS, TINY, { write: () => undefined });
  url = await put('bench.html', page(report));
  browser = new Browser();
});
after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true });
});

async function look(how: Look, at = url): Promise<{ facts: Facts; errors: readonly string[]; png: Buffer }> {
  const { errors, value, png } = await browser.look(at, how, FACTS);
  return { errors, facts: value as Facts, png };
}

for (const [name, how] of Object.entries({
  'on a phone': PHONE,
  'on a phone, in the dark': { ...PHONE, scheme: 'dark' },
  'on a desk': DESK,
} satisfies Record<string, Look>)) {
  test(`the page fits ${name}, and can be read`, async () => {
    const { facts, errors, png } = await look(how);
    assert.deepEqual(errors, []);
    assert.ok(facts.width <= how.width, `${facts.width} of ${how.width} pixels`);
    assert.equal(facts.headings, QUESTIONS.length + 1);
    assert.ok(facts.plots >= 6, `${facts.plots} plots`);
    assert.ok(facts.smallest >= 8.5, `text of ${facts.smallest} pixels`);
    assert.deepEqual(facts.outside, []);
    assert.equal(facts.landmarks, 1);
    // The widest table is seen whole on a desk; where one is not, it says so.
    if (how === DESK) assert.equal(facts.scrolling, 0);
    assert.equal(facts.silent, 0);
    assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [how.width, how.height]);
    assert.ok(png.length > 15_000, `a picture of ${png.length} bytes shows nothing`);
  });
}

test('it is dark in the dark, and without its links on paper', async () => {
  const [light, dark] = [await look(DESK), await look({ ...DESK, scheme: 'dark' })];
  assert.notEqual(light.facts.paper, dark.facts.paper);
  assert.equal(light.facts.paper, 'rgb(255, 255, 255)');
  assert.notEqual(light.facts.ink, dark.facts.ink);
  const paper = await look({ ...DESK, media: 'print' });
  assert.deepEqual([light.facts.navigation, paper.facts.navigation], ['block', 'none']);
});

test('a page that is too wide, or has errors, would be seen', async () => {
  const broken =
    '<!doctype html><meta name="viewport" content="width=device-width"><nav></nav><svg viewBox="0 0 9 9" width="20"><text x="5">outside</text></svg>' +
    '<div style="width:900px">wide</div><script>console.error("no"); undefined.no;</script><img src="nothing.png">';
  const { facts, errors } = await look(PHONE, await put('broken.html', broken));
  assert.ok(facts.width >= 900, `${facts.width}`);
  assert.deepEqual(facts.outside, ['outside']);
  assert.equal(errors.length, 3);
});
