import { it } from 'vitest';
import { openCampaignStage, people, STEP, stepOf } from '../../support/campaign-stage.ts';
import pg from 'pg';
const orig = pg.Client.prototype.query;
(pg.Client.prototype as any).query = function (this: any, ...a: any[]) {
  const t = performance.now();
  const text = typeof a[0] === 'string' ? a[0] : (a[0]?.text ?? '');
  const r = (orig as any).apply(this, a);
  if (r?.then) r.then((x: any) => { const ms = performance.now() - t; if (ms > 150) console.log('SLOW', Math.round(ms), x?.rowCount, text.replace(/\s+/g, ' ').slice(0, 150)); }, () => {});
  else console.log('cb', text.slice(0,50));
  return r;
};
it('perf', async () => {
  const stage = await openCampaignStage();
  await stage.addSender();
  for (let k = 0; k < 1; k++) {
  const ds = await stage.addDataset(people(10_000, `m${k}.example`));
  let t = performance.now();
  const c = await stage.addCampaign({ dataset_id: ds, steps: [STEP, stepOf(2,3), stepOf(3,4)], daily_limit: 10000, min_interval_seconds: 60, sending_window_start: '00:00', sending_window_end: '23:59:59' });
  console.log('create', performance.now() - t);
  t = performance.now();
  const p = await stage.ask('POST', `/api/v1/campaigns/${c.campaign_id}/launch-preflight`);
  console.log('preflight', performance.now() - t, p.status);
  t = performance.now();
  const r = await stage.ask('POST', `/api/v1/campaigns/${c.campaign_id}/launch`);
  console.log('launch', performance.now() - t, r.status, JSON.stringify(r.body).slice(0, 300));
  t = performance.now();
  await stage.ask('POST', `/api/v1/campaigns/${c.campaign_id}/pause`);
  console.log('pause', performance.now() - t);
  t = performance.now();
  const rr = await stage.ask('POST', `/api/v1/campaigns/${c.campaign_id}/resume`);
  console.log('resume', performance.now() - t, rr.status);
  }
  await stage.close();
}, 120000);
