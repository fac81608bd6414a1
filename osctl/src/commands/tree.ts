/** The command tree. */
import type { Group } from '../shell/invocation.ts';
import { applyCommand } from './apply.ts';
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
import { servicesCommand } from './services.ts';
import { shutdownCommand } from './shutdown.ts';
import { statusCommand } from './status.ts';
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
    verifyCommand,
    restartServiceCommand,
    rebootCommand,
    shutdownCommand,
    completionCommand(() => commandTree),
  ],
};
