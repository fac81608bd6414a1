/**
 * Bill of materials of an image in SPDX 2.3, JSON (https://spdx.github.io/spdx-spec/v2.3/). Equal images have equal
 * text.
 */
import { createHash } from 'node:crypto';
import type { ManifestEntry, ManifestFile } from './rootfs-manifest.ts';
import { manifestFiles } from './rootfs-manifest.ts';

/** One npm package whose code is in the image. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression, or empty when the package names none. */
  readonly licence: string;
  /** Subresource integrity of the lock file; empty for a package of this repository. */
  readonly integrity: string;
}

/** What a bill of materials is made of. */
export interface SbomInput {
  readonly version: string;
  readonly rootHash: string;
  readonly epochSeconds: number;
  readonly manifest: readonly ManifestEntry[];
  /** Path in the image to its bytes. */
  readonly contents: ReadonlyMap<string, Uint8Array>;
  readonly debian: Readonly<Record<string, { readonly version: string; readonly sha256: string }>>;
  readonly npm: readonly NpmPackage[];
  readonly kernel: {
    readonly version: string;
    readonly sourceVersion: string;
    readonly bytes: Uint8Array;
  };
}

const ROOT_ID = 'SPDXRef-Package-KeelOS';

function hex(algorithm: 'sha1' | 'sha256', bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex');
}

function spdxId(kind: string, name: string): string {
  return `SPDXRef-${kind}-${name.replace(/[^A-Za-z0-9.-]+/g, '-').replace(/^-+/, '')}`;
}

function packageOf(facts: {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly checksum?: { readonly algorithm: string; readonly checksumValue: string };
  readonly purl?: string;
  readonly comment?: string;
}): Record<string, unknown> {
  const { checksum, purl, comment } = facts;
  return {
    SPDXID: facts.id,
    name: facts.name,
    versionInfo: facts.version,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: facts.licence === '' ? 'NOASSERTION' : facts.licence,
    licenseDeclared: facts.licence === '' ? 'NOASSERTION' : facts.licence,
    copyrightText: 'NOASSERTION',
    ...(checksum === undefined ? {} : { checksums: [checksum] }),
    ...(purl === undefined
      ? {}
      : {
          externalRefs: [
            {
              referenceCategory: 'PACKAGE-MANAGER',
              referenceType: 'purl',
              referenceLocator: purl,
            },
          ],
        }),
    ...(comment === undefined ? {} : { comment }),
  };
}

function npmEntry(npm: NpmPackage): Record<string, unknown> {
  const [algorithm = '', digest = ''] = npm.integrity.split('-', 2);
  const checksumValue = Buffer.from(digest, 'base64').toString('hex');
  const purlName = npm.name.replace('@', '%40');
  return packageOf({
    id: spdxId('npm', npm.name),
    name: npm.name,
    version: npm.version,
    licence: npm.licence,
    ...(algorithm === 'sha512' ? { checksum: { algorithm: 'SHA512', checksumValue } } : {}),
    purl: `pkg:npm/${purlName}@${npm.version}`,
  });
}

function fileEntry(file: ManifestFile, bytes: Uint8Array): Record<string, unknown> {
  return {
    SPDXID: spdxId('File', file.path),
    fileName: `.${file.path}`,
    checksums: [
      { algorithm: 'SHA1', checksumValue: hex('sha1', bytes) },
      { algorithm: 'SHA256', checksumValue: hex('sha256', bytes) },
    ],
    licenseConcluded: file.licence,
    licenseInfoInFiles: ['NOASSERTION'],
    copyrightText: 'NOASSERTION',
    comment: file.reason,
  };
}

function debianLicence(name: string, manifest: readonly ManifestEntry[]): string {
  const fromPackage = manifestFiles(manifest).find(
    ({ source }) => source.kind === 'debian' && source.package === name,
  );
  // The boot loader is on the EFI system partition, not in the manifest of the root.
  return fromPackage?.licence ?? (name === 'systemd-boot-efi' ? 'LGPL-2.1-or-later' : '');
}

/** Text of the document. */
export function spdxDocument(input: SbomInput): string {
  const debian = Object.entries(input.debian).map(([name, { version, sha256 }]) =>
    packageOf({
      id: spdxId('deb', name),
      name,
      version,
      licence: debianLicence(name, input.manifest),
      checksum: { algorithm: 'SHA256', checksumValue: sha256 },
      purl: `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=amd64`,
    }),
  );
  const kernel = packageOf({
    id: spdxId('Package', 'linux'),
    name: 'linux',
    version: input.kernel.version,
    licence: 'GPL-2.0-only WITH Linux-syscall-note',
    checksum: { algorithm: 'SHA256', checksumValue: hex('sha256', input.kernel.bytes) },
    comment: `Built from ${input.kernel.sourceVersion}; the checksum is the bzImage's.`,
  });
  const components = [kernel, ...debian, ...input.npm.map(npmEntry)];
  const files = manifestFiles(input.manifest).map((file) =>
    fileEntry(file, input.contents.get(file.path) ?? Buffer.alloc(0)),
  );
  const relate = (from: string, type: string, to: unknown) => ({
    spdxElementId: from,
    relationshipType: type,
    relatedSpdxElement: to,
  });
  const document = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `keelos-${input.version}-x86_64`,
    documentNamespace: `https://keelos.invalid/spdx/${input.version}/${input.rootHash}`,
    creationInfo: {
      created: `${new Date(input.epochSeconds * 1000).toISOString().slice(0, 19)}Z`,
      creators: ['Tool: keel-image'],
    },
    packages: [
      packageOf({
        id: ROOT_ID,
        name: 'KeelOS',
        version: input.version,
        licence: 'Apache-2.0',
        comment: `Image with root hash ${input.rootHash}`,
      }),
      ...components,
    ],
    files,
    relationships: [
      relate('SPDXRef-DOCUMENT', 'DESCRIBES', ROOT_ID),
      ...components.map((component) => relate(ROOT_ID, 'CONTAINS', component.SPDXID)),
      ...files.map((file) => relate(ROOT_ID, 'CONTAINS', file.SPDXID)),
    ],
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
