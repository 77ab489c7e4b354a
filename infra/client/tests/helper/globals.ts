/** What browsers and newer versions of Node have, and Node 18 has not. */

import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto as Crypto;
