/** Campaigns over REST (contract, tags campaigns and campaign-personalization). */

import { z } from 'zod';
import { type Route, route } from '../../http/route.ts';
import type { Campaigns } from './campaigns.ts';
import type { Launches } from './launch/launches.ts';
import type { CampaignLeads } from './leads.ts';
import {
  addedLeads,
  addLeadsBody,
  aggregateStats,
  approveTextBody,
  campaign,
  campaignLeadList,
  campaignList,
  campaignStats,
  createCampaignBody,
  launchReport,
  launchResult,
  launchWarnings,
  leadEvents,
  listCampaignLeadsQuery,
  listCampaignsQuery,
  resetTextsBody,
  stepPerformance,
  templatePreview,
  templatePreviewQuery,
  textApproval,
  unapproveTextBody,
  updateCampaignBody,
  writeTextBody,
  writtenText,
} from './schema.ts';
import type { CampaignStatistics } from './stats.ts';
import type { CampaignTexts } from './texts.ts';

export interface CampaignRouteNeeds {
  campaigns: Campaigns;
  launches: Launches;
  campaignLeads: CampaignLeads;
  campaignStats: CampaignStatistics;
  campaignTexts: CampaignTexts;
}

const tag = 'campaigns';
const params = z.object({ campaign_id: z.uuid() });
const leadParams = z.object({ campaign_id: z.uuid(), campaign_lead_id: z.uuid() });

export function createCampaignRoutes(needs: CampaignRouteNeeds): Route[] {
  const { campaigns, launches, campaignLeads, campaignTexts } = needs;
  return [
    route({
      method: 'POST',
      path: '/api/v1/campaigns/',
      operation: 'createCampaign',
      tag,
      summary: 'Create a campaign in draft',
      access: 'write',
      body: createCampaignBody,
      answers: { 201: campaign },
      refusals: ['NOT_FOUND'],
      handle: async ({ caller, body }) => ({ status: 201, body: await campaigns.create(caller, body) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/campaigns/',
      operation: 'listCampaigns',
      tag,
      summary: 'List own campaigns, newest first',
      access: 'read',
      query: listCampaignsQuery,
      answers: { 200: campaignList },
      handle: async ({ caller, query }) => ({ status: 200, body: await campaigns.list(caller, query) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/campaigns/aggregate-stats',
      operation: 'getAggregateStats',
      tag,
      summary: 'Totals over all own campaigns',
      access: 'read',
      answers: { 200: aggregateStats },
      handle: async ({ caller }) => ({ status: 200, body: await needs.campaignStats.total(caller) }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/campaigns/{campaign_id}',
      operation: 'getCampaign',
      tag,
      summary: 'Read one campaign with its lead total',
      access: 'read',
      params,
      answers: { 200: campaign },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await campaigns.get(caller, params.campaign_id),
      }),
    }),
    route({
      method: 'PATCH',
      path: '/api/v1/campaigns/{campaign_id}',
      operation: 'updateCampaign',
      tag,
      summary: 'Change a campaign; what is sent and when changes in a draft or a paused one only',
      access: 'write',
      params,
      body: updateCampaignBody,
      answers: { 200: campaign },
      refusals: ['CAMPAIGN_STATE'],
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await campaigns.update(caller, params.campaign_id, body),
      }),
    }),
    route({
      method: 'DELETE',
      path: '/api/v1/campaigns/{campaign_id}',
      operation: 'deleteCampaign',
      tag,
      summary: 'Delete a campaign with its leads; what waits is not sent',
      access: 'write',
      params,
      answers: { 204: 'empty' },
      refusals: ['CAMPAIGN_STATE'],
      handle: async ({ caller, params }) => {
        await campaigns.remove(caller, params.campaign_id);
        return { status: 204 };
      },
    }),
    route({
      method: 'POST',
      path: '/api/v1/campaigns/{campaign_id}/launch',
      operation: 'launchCampaign',
      tag,
      summary: 'Launch: enrol the leads and give each first mail its time',
      access: 'send',
      params,
      answers: { 200: launchResult },
      refusals: ['CAMPAIGN_STATE', 'CAMPAIGN_NOT_READY'],
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await launches.launch(caller, params.campaign_id),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/campaigns/{campaign_id}/launch-preflight',
      operation: 'launchPreflight',
      tag,
      summary: 'Check readiness without side effects',
      access: 'read',
      params,
      answers: { 200: launchReport },
      refusals: ['CAMPAIGN_STATE'],
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await launches.preflight(caller, params.campaign_id),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/campaigns/{campaign_id}/launch-warnings',
      operation: 'getLaunchWarnings',
      tag,
      summary: 'Read the warnings of the last launch or resumption',
      access: 'read',
      params,
      answers: { 200: launchWarnings },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await launches.warnings(caller, params.campaign_id),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/campaigns/{campaign_id}/pause',
      operation: 'pauseCampaign',
      tag,
      summary: 'Pause a campaign: nothing more begins to leave',
      access: 'write',
      params,
      answers: { 200: campaign },
      refusals: ['CAMPAIGN_STATE'],
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await launches.pause(caller, params.campaign_id),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/campaigns/{campaign_id}/resume',
      operation: 'resumeCampaign',
      tag,
      summary: 'Resume a paused campaign: what waits is written and planned anew',
      access: 'send',
      params,
      answers: { 200: campaign },
      refusals: ['CAMPAIGN_STATE', 'CAMPAIGN_NOT_READY'],
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await launches.resume(caller, params.campaign_id),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/campaigns/{campaign_id}/stats',
      operation: 'getCampaignStats',
      tag,
      summary: 'Figures of one campaign',
      access: 'read',
      params,
      answers: { 200: campaignStats },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await needs.campaignStats.of(caller, params.campaign_id),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/campaigns/{campaign_id}/stats/step-performance',
      operation: 'getStepPerformance',
      tag,
      summary: 'Figures per step and variant',
      access: 'read',
      params,
      answers: { 200: stepPerformance },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await needs.campaignStats.ofSteps(caller, params.campaign_id),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/campaigns/{campaign_id}/leads',
      operation: 'listCampaignLeads',
      tag,
      summary: 'List leads with state and row data',
      access: 'read',
      params,
      query: listCampaignLeadsQuery,
      answers: { 200: campaignLeadList },
      handle: async ({ caller, params, query }) => ({
        status: 200,
        body: await campaignLeads.list(caller, params.campaign_id, query),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/campaigns/{campaign_id}/leads',
      operation: 'addCampaignLeads',
      tag,
      summary: 'Add leads; once the campaign was launched this needs the scope send',
      access: 'write',
      params,
      body: addLeadsBody,
      answers: { 200: addedLeads },
      refusals: ['CAMPAIGN_STATE'],
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await launches.addLeads(caller, params.campaign_id, body),
      }),
    }),
    route({
      method: 'GET',
      path: '/api/v1/campaigns/{campaign_id}/leads/{campaign_lead_id}/events',
      operation: 'getLeadEvents',
      tag,
      summary: 'Email event timeline of a lead',
      access: 'read',
      params: leadParams,
      answers: { 200: leadEvents },
      handle: async ({ caller, params }) => ({
        status: 200,
        body: await campaignLeads.events(caller, params.campaign_id, params.campaign_lead_id),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/campaigns/{campaign_id}/personalize',
      operation: 'personalizeCampaignEmail',
      tag: 'campaign-personalization',
      summary: 'Write the text of one lead and keep it as a draft; an approved one is answered as it is',
      access: 'write',
      params,
      body: writeTextBody,
      answers: { 200: writtenText },
      handle: async ({ caller, params, body, gone }) => ({
        status: 200,
        body: await campaignTexts.writeOne(caller, params.campaign_id, body, gone),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/campaigns/{campaign_id}/leads/{campaign_lead_id}/approve',
      operation: 'approveLeadEmail',
      tag: 'playground',
      summary: 'Freeze the text of a step for a lead: somebody has read it',
      access: 'write',
      params: leadParams,
      body: approveTextBody,
      answers: { 200: textApproval },
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await campaignTexts.approve(caller, params.campaign_id, params.campaign_lead_id, body),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/campaigns/{campaign_id}/leads/{campaign_lead_id}/unapprove',
      operation: 'unapproveLeadEmail',
      tag: 'playground',
      summary: 'Take the yes to the text of one step back; it stays as a draft',
      access: 'write',
      params: leadParams,
      body: unapproveTextBody,
      answers: { 200: textApproval },
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await campaignTexts.unapprove(
          caller,
          params.campaign_id,
          params.campaign_lead_id,
          body.step_index,
        ),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/campaigns/{campaign_id}/leads/{campaign_lead_id}/reset',
      operation: 'resetLeadApprovals',
      tag: 'playground',
      summary: 'Drop texts of a lead, of some steps or of all',
      access: 'write',
      params: leadParams,
      body: resetTextsBody,
      answers: { 200: textApproval },
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: await campaignTexts.reset(caller, params.campaign_id, params.campaign_lead_id, body),
      }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/campaigns/{campaign_id}/template-preview',
      operation: 'previewTemplateSubstitution',
      tag: 'campaign-personalization',
      summary: 'Fill template variables for one row, without AI',
      access: 'read',
      params,
      query: templatePreviewQuery,
      answers: { 200: templatePreview },
      handle: async ({ caller, params, query }) => ({
        status: 200,
        body: await campaignLeads.preview(caller, params.campaign_id, query),
      }),
    }),
  ];
}
