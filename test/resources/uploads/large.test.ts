import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createUploadRoutes } from '../../../src/resources/uploads/routes.ts';
import { createUploads } from '../../../src/resources/uploads/uploads.ts';
import { type HttpHarness, startHttpHarness } from '../../support/http-harness.ts';

let harness: HttpHarness;
beforeAll(async () => {
  harness = await startHttpHarness({ routes: (needs) => createUploadRoutes(createUploads(needs)) });
});
afterAll(() => harness.close());

describe('a large file', () => {
  it('of 100,000 rows is imported within bounded memory', async () => {
    // What is in use counts, not what the collector has not cleared yet.
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    const used = () => {
      collect();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = used();
    let peak = before;
    const watch = setInterval(() => {
      peak = Math.max(peak, used());
    }, 200);
    const boundary = 'x';
    async function* form(): AsyncGenerator<Buffer> {
      yield Buffer.from(
        `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="large.csv"\r\n\r\n`,
      );
      yield Buffer.from('First Name,Last Name,Email,Company,Title,City,Notes\n');
      for (let block = 0; block < 1000; block += 1) {
        const rows = Array.from({ length: 100 }, (_, index) => {
          const number = block * 100 + index;
          return `First${number},"Last, ${number}",person${number}@company${number % 977}.example,Company ${number % 977} Inc,Head of ${number % 13},City ${number % 101},${'lorem ipsum '.repeat(10)}`;
        });
        yield Buffer.from(`${rows.join('\n')}\n`);
      }
      yield Buffer.from(`\r\n--${boundary}--\r\n`);
    }
    try {
      const response = await fetch(`${harness.url}/api/v1/datasets/import`, {
        method: 'POST',
        headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
        body: ReadableStream.from(form()),
        duplex: 'half',
      });
      expect(await response.json()).toMatchObject({ row_count: 100_000, refused_count: 0 });
    } finally {
      clearInterval(watch);
    }
    expect(await harness.ownerQuery('select count(*)::int as count from leads')).toEqual([
      { count: 100_000 },
    ]);
    expect((peak - before) / 1024 / 1024).toBeLessThan(80);
  }, 120_000);
});
