/** Whether a bundle fits a machine: what can be said from its manifest alone. Pure. */
import type { BundleManifest } from './bundle.ts';
import { formatBytes } from './byte-text.ts';
import { KeelError } from './errors.ts';

/** What a machine takes. What is absent is not asked. */
export interface Fit {
  readonly arch?: BundleManifest['arch'];
  /** Lowest security epoch. */
  readonly epoch?: number;
  /** Size of the slot partition that would hold the root. */
  readonly slotBytes?: number;
}

/** @throws KeelError E_ARCH_MISMATCH, E_EPOCH_TOO_LOW, E_SLOT_TOO_SMALL */
export function judgeFit(manifest: BundleManifest, { arch, epoch, slotBytes }: Fit): void {
  const subject = `Cannot accept bundle ${manifest.version}`;
  if (arch !== undefined && manifest.arch !== arch) {
    throw new KeelError(
      'E_ARCH_MISMATCH',
      `${subject}: it is for ${manifest.arch}, this machine is ${arch}`,
    );
  }
  if (epoch !== undefined && manifest.epoch < epoch) {
    throw new KeelError(
      'E_EPOCH_TOO_LOW',
      `${subject}: its security epoch is ${manifest.epoch}, at least ${epoch} is wanted`,
    );
  }
  if (slotBytes !== undefined && manifest.root.size > slotBytes) {
    throw new KeelError(
      'E_SLOT_TOO_SMALL',
      `${subject}: its root has ${formatBytes(manifest.root.size)}, the slot ${formatBytes(slotBytes)}`,
    );
  }
}
