/** Packages of Debian in two versions each: what an update of a node changes, and libraries that are linked by address. */

/** A package in one version. */
export interface PackageVersion {
  readonly version: string;
  readonly sha256: string;
}

/** Two versions of a package. */
export interface VersionPair {
  readonly name: string;
  readonly versions: readonly [PackageVersion, PackageVersion];
}

/** A patch release of containerd: five Go programs, each linked anew. */
export const CONTAINERD: VersionPair = {
  name: 'containerd',
  versions: [
    {
      version: '1.6.20~ds1-1+deb12u2',
      sha256: '97a18ebff2326b96ce9bd7b1904bba4204525b678744294ab78d76acb6f3af62',
    },
    {
      version: '1.6.20~ds1-1+deb12u3',
      sha256: '8669d264eeb0fcdb4a0b1ba436ab88ec5dafde4a66e1278ec279d830db4c2216',
    },
  ],
};

/** Patch releases of libraries and of a small program, each built anew. */
export const LIBRARIES: readonly VersionPair[] = [
  {
    name: 'libssl3',
    versions: [
      {
        version: '3.0.20-1~deb12u2',
        sha256: '89be24b41bff568ee6e7caf5680a3d808e80315ed92e407056ce0fa7a5bda025',
      },
      {
        version: '3.0.22-1~deb12u2',
        sha256: 'cb4784740daa9b3b0eaea2b444bbefa686794afbbf3d678d238c1fd9875f2efd',
      },
    ],
  },
  {
    name: 'libc6',
    versions: [
      {
        version: '2.36-9+deb12u7',
        sha256: 'eba944bd99c2f5142baf573e6294a70f00758083bc3c2dca4c9e445943a3f8e6',
      },
      {
        version: '2.36-9+deb12u14',
        sha256: 'ba4f88f73dbc3ae9055f3c20f4523bfdbaf1ad13ff95e258924f77d20b4fbedf',
      },
    ],
  },
  {
    name: 'openssl',
    versions: [
      {
        version: '3.0.20-1~deb12u2',
        sha256: '4d218561dc838de081de97f54584c4a29e77e26c7ed9fe3440d776d8e6071bf9',
      },
      {
        version: '3.0.22-1~deb12u2',
        sha256: '5cdf0b735b1c8a96ae0bf83ed328c83c2170f8320dedb035e98705b60b2d0cfe',
      },
    ],
  },
];
