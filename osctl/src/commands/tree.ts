/** The command tree. */
import type { Group } from '../shell/invocation.ts';
import { applyCommand } from './apply.ts';
import { channelCommands } from './channel.ts';
import { completionCommand } from './completion.ts';
import { configGroup } from './config.ts';
import { diffCommand } from './diff.ts';
import { dmesgCommand } from './dmesg.ts';
import { getConfigCommand } from './get-config.ts';
import { diagnosticsCommands } from './get-diagnostics.ts';
import { healthCommand } from './health.ts';
import { bootstrapCommand } from './init-bootstrap.ts';
import { renewCommand } from './init-renew.ts';
import { logsCommand } from './logs.ts';
import { rebootCommand } from './reboot.ts';
import { restartServiceCommand } from './restart-service.ts';
import { rollbackHistoryCommand } from './rollback-history.ts';
import { rollbackTriggerCommand } from './rollback-trigger.ts';
import { scheduleCommands } from './schedule.ts';
import { scheduleUpdateCommand } from './schedule-update.ts';
import { servicesCommand } from './services.ts';
import { shutdownCommand } from './shutdown.ts';
import { slotsCommand } from './slots.ts';
import { statusCommand } from './status.ts';
import { updateCommand } from './update.ts';
import { validateCommand } from './validate.ts';
import { verifyCommand } from './verify.ts';
import { versionCommand } from './version.ts';

/** Root of the tree. */
export const commandTree: Group = {
  name: 'osctl',
  summary: 'Manage KeelOS nodes',
  description: 'osctl manages KeelOS nodes through their gRPC API over mutual TLS.',
  commands: [
    {
      name: 'init',
      summary: 'Trust between you and a node: enrolment and renewal',
      commands: [bootstrapCommand, renewCommand],
    },
    configGroup,
    versionCommand,
    healthCommand,
    statusCommand,
    servicesCommand,
    logsCommand,
    dmesgCommand,
    applyCommand,
    diffCommand,
    validateCommand,
    {
      name: 'get',
      summary: 'Show configuration and diagnostics of a node',
      commands: [getConfigCommand, ...diagnosticsCommands],
    },
    updateCommand,
    slotsCommand,
    {
      name: 'schedule',
      summary: 'Updates that begin later',
      commands: [scheduleUpdateCommand, ...scheduleCommands],
    },
    {
      name: 'channel',
      summary: 'Releases that a node installs by itself',
      commands: channelCommands,
    },
    {
      name: 'rollback',
      summary: 'Go back to the other release, and what happened before',
      commands: [rollbackTriggerCommand, rollbackHistoryCommand],
    },
    verifyCommand,
    restartServiceCommand,
    rebootCommand,
    shutdownCommand,
    completionCommand(() => commandTree),
  ],
};
