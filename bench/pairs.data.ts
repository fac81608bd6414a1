/** Packages of Debian that make up the rest of the tree in which containerd changes: what a small node has. */
export const TREE_PACKAGES: Readonly<
  Record<string, { readonly version: string; readonly sha256: string }>
> = {
  'base-files': {
    version: '12.4+deb12u15',
    sha256: '3eb1ea6d85488f488cc2a163b98ad640ef88cee4c79287cf14e361aaf6206f47',
  },
  bsdutils: {
    version: '1:2.38.1-5+deb12u3',
    sha256: '6cae172b006a4603e710e046c3acba8d98d36748894cbe3eeda31d415fec331e',
  },
  'ca-certificates': {
    version: '20250419~deb12u2',
    sha256: 'b9f76b5271a7ac373fd5e7e1b5b826a71ddd702b42a0d104955ecb1acfffc94b',
  },
  conntrack: {
    version: '1:1.4.7-1+b2',
    sha256: '9827d60b60c1b5673e97f34db48d9db79e9f9ef807ee998320f6dafc80711e82',
  },
  dash: {
    version: '0.5.12-2',
    sha256: '33ea40061da2f1a861ec46212b2b6a34f0776a049b1a3f0abce2fb8cb994258f',
  },
  e2fsprogs: {
    version: '1.47.0-2+b2',
    sha256: 'fedd424691c08ef0739729026be298e7be8236337bf8e031b3c7ec66794e6fc2',
  },
  ebtables: {
    version: '2.0.11-5',
    sha256: '39d1d2585d9563fd9d59309b79e7b959ce0ec306475798a4f34f1affa7713ef0',
  },
  ethtool: {
    version: '1:6.1-1',
    sha256: '97f0047507194da0fe2519f2f607b606f8796f2ef53a810da39825b542008f47',
  },
  findutils: {
    version: '4.9.0-4',
    sha256: '5dd86bd0af4aa73f067dfd6b8339dd868f2dd84056aa79db29d1206d4fbc5e04',
  },
  gzip: {
    version: '1.12-1',
    sha256: 'eabec1dde2834f72540d7b93fc5df2625f52611c06d93d61f5cdb12480e0e6a3',
  },
  iproute2: {
    version: '6.1.0-3',
    sha256: '1204b29e916e836267096d0b9d778106752f821ebde0d281539008b4386d9070',
  },
  ipset: {
    version: '7.17-1',
    sha256: '4bcc86f6658ca92fe2e21a6a7d4fd162d3b94ec3cdc709a9cf05f0a8ad9c7725',
  },
  iptables: {
    version: '1.8.9-2',
    sha256: '2928d3ca6ca8a3dc3f423f6752822b1f3614a5ba609ff7806bcba4449ffe90e1',
  },
  'iputils-ping': {
    version: '3:20221126-1+deb12u1',
    sha256: '5a206d74e2147990e08b89d09a4655e59a17222e0513a309a48e16ed2281589b',
  },
  kmod: {
    version: '30+20221128-1',
    sha256: 'e21ae247204fe8a14ac29a5f510227d45b41cd3c41059cc942f2502d25765165',
  },
  less: {
    version: '590-2.1~deb12u2',
    sha256: '3c4ee8ce5e0f625e1169da9584e309c375a8a68e22de5821461d14446825cc1a',
  },
  libacl1: {
    version: '2.3.1-3',
    sha256: '8be9df5795114bfe90e2be3d208ef47a5edd3fc7b3e20d387a597486d444e5e2',
  },
  libapparmor1: {
    version: '3.0.8-3',
    sha256: '4b79f49eafc2017374da9ec206b5495433eadd2b1ea078c3895c99e72825e9d3',
  },
  libattr1: {
    version: '1:2.5.1-4',
    sha256: 'c4945123d66d0503ba42e2fc0585abc76d0838978c6d277b9cc37a4da25d1a34',
  },
  libblkid1: {
    version: '2.38.1-5+deb12u3',
    sha256: '5a083377f29191cafcdf0f91ec124349b4a7895b531556633a136e43c6d53943',
  },
  libbpf1: {
    version: '1:1.1.2-0+deb12u1',
    sha256: '5e7505ef77ebc84ad0203411e4afdeb8a98f40fb7f78f013aa4dd8710e49f8ed',
  },
  'libbz2-1.0': {
    version: '1.0.8-5+b1',
    sha256: '54149da3f44b22d523b26b692033b84503d822cc5122fed606ea69cc83ca5aeb',
  },
  libcap2: {
    version: '1:2.66-4+deb12u3+b1',
    sha256: '8d684c673e7483802a5c447834b0df6fce006eb3a7109e1be412f5ad425bb24f',
  },
  'libcom-err2': {
    version: '1.47.0-2+b2',
    sha256: 'a2bac7015e78fbc0c504df3e441f3a22292f1d2d77f9ccda760057f3690e22f2',
  },
  libcrypt1: {
    version: '1:4.4.33-2',
    sha256: 'f5f60a5cdfd4e4eaa9438ade5078a57741a7a78d659fcb0c701204f523e8bd29',
  },
  libcurl4: {
    version: '7.88.1-10+deb12u15',
    sha256: '3042904de01f9c4fbdcf1452b8f81abedcf2b015f9b9deba109063322b5bd68b',
  },
  'libdevmapper1.02.1': {
    version: '2:1.02.185-2',
    sha256: 'aaa78ca236055fedccf637eacf7bda02bf1980b2db668dccd202b04d0d2cfe04',
  },
  libelf1: {
    version: '0.188-2.1',
    sha256: '619add379c606b3ac6c1a175853b918e6939598a83d8ebadf3bdfd50d10b3c8c',
  },
  'libgcc-s1': {
    version: '12.2.0-14+deb12u1',
    sha256: '3016e62cb4b7cd8038822870601f5ed131befe942774d0f745622cc77d8a88f7',
  },
  libgmp10: {
    version: '2:6.2.1+dfsg1-1.1',
    sha256: '187aedef2ed763f425c1e523753b9719677633c7eede660401739e9c893482bd',
  },
  libgnutls30: {
    version: '3.7.9-2+deb12u7',
    sha256: '30abec8c824feb1d2d7e9000a34083cccd19d139625e1b21547e3ac53b922f8e',
  },
  libip4tc2: {
    version: '1.8.9-2',
    sha256: 'f2c48b367f9ec13f9aa577e7ccf81b371ce5d5fe22dddf9d7aa99f1e0bb7cfc4',
  },
  libmnl0: {
    version: '1.0.4-3',
    sha256: '4581f42e3373cb72f9ea4e88163b17873afca614a6c6f54637e95aa75983ea7c',
  },
  libmount1: {
    version: '2.38.1-5+deb12u3',
    sha256: 'f46e2d6b006951825adde9757790b6609d7c66c7700f9b68f3db913eaac323c3',
  },
  libncursesw6: {
    version: '6.4-4',
    sha256: '98fa7a53dc565a38b65fb70422ad08001bf5361d8fbc74255280c329996a6bec',
  },
  'libnetfilter-conntrack3': {
    version: '1.0.9-3',
    sha256: '65f1539238f60fcc85d115acd640474f45c77bfddcf402eb7d75965a783c2bc8',
  },
  libnftnl11: {
    version: '1.2.4-2',
    sha256: '9e619e1470a1915264e906020f3bfc046fd8458043b1342686d997b5078213af',
  },
  'libpam-modules': {
    version: '1.5.2-6+deb12u3',
    sha256: '70df6c0f65623896680c3b1199b980fdac9f2274bdfcb24685eca1100644db1d',
  },
  libpam0g: {
    version: '1.5.2-6+deb12u3',
    sha256: '2cc3411d70739d7f09ee8f1dd145903320294e36bf6bda3cb56dd25eb9a8505f',
  },
  'libpcre2-8-0': {
    version: '10.42-1+deb12u2',
    sha256: 'd2f7edfcc7689b9e0761c2742cc824ac86a20768bc5e8057818dc6875291fe76',
  },
  libseccomp2: {
    version: '2.5.4-1+deb12u1',
    sha256: '108fe67957ca7cf9ba51d801118a1b37d404bea7b6e365025cd00779e9eca38d',
  },
  libselinux1: {
    version: '3.4-1+b6',
    sha256: '2b07f5287b9105f40158b56e4d70cc1652dac56a408f3507b4ab3d061eed425f',
  },
  libssl3: {
    version: '3.0.22-1~deb12u2',
    sha256: 'cb4784740daa9b3b0eaea2b444bbefa686794afbbf3d678d238c1fd9875f2efd',
  },
  'libstdc++6': {
    version: '12.2.0-14+deb12u1',
    sha256: '5cd3171216d4ab0fc911cfe9c35509bf2dd8f47761c43b7f6a4296701551a24d',
  },
  libsystemd0: {
    version: '252.39-1~deb12u2',
    sha256: '013c07514a9e4933b2d5c098018695a6aa42d085dbc483ce2c094a954c8a1b0a',
  },
  libtinfo6: {
    version: '6.4-4',
    sha256: '072d908f38f51090ca28ca5afa3b46b2957dc61fe35094c0b851426859a49a51',
  },
  libudev1: {
    version: '252.39-1~deb12u2',
    sha256: '6f7e08f11c4809d2e5998c775f7b423ab5ec2ce0309494b4a2615037052245e2',
  },
  libuuid1: {
    version: '2.38.1-5+deb12u3',
    sha256: '5fff398321da62d28a842bcbabd193d72ae21724962c029dc32b1dc6b2deaeaf',
  },
  libzstd1: {
    version: '1.5.4+dfsg2-5+deb12u1',
    sha256: '67dc1ee693e5c22b1a2be2bb70d8244b040836ce3f5dd79e006f7806bc3d9f1c',
  },
  netbase: {
    version: '6.4',
    sha256: '29b23c48c0fe6f878e56c5ddc9f65d1c05d729360f3690a593a8c795031cd867',
  },
  procps: {
    version: '2:4.0.2-3',
    sha256: 'd9d0e75779cb79af869181f17b93c5c263a2b89cac6a0193c436160a4483ddc1',
  },
  runc: {
    version: '1.1.5+ds1-1+deb12u1',
    sha256: 'a00351f8c0318de0b424ecf5cd0fdb69880a89f3511cae4f6fff7de3e57881c5',
  },
  sed: {
    version: '4.9-1+deb12u1',
    sha256: 'fd557efeee8aae4619c2cb7f68aadccb804322ad4a99ab048aaae5901d253885',
  },
  socat: {
    version: '1.7.4.4-2',
    sha256: '2bf3094e16ce0aab245193eb6b7cb6b6e086f68d321b757e2090901b4cd7f826',
  },
  zlib1g: {
    version: '1:1.2.13.dfsg-1',
    sha256: 'd7dd1d1411fedf27f5e27650a6eff20ef294077b568f4c8c5e51466dc7c08ce4',
  },
};
