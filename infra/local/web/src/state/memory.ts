/** What outlives a reload: two short strings in localStorage; the draft, its unsent images too, in IndexedDB. */

const NAMES = { sessionId: "videomaker.sessionId", userId: "videomaker.userId" };

export function recall(name: keyof typeof NAMES): string | undefined {
  return localStorage.getItem(NAMES[name]) ?? undefined;
}

export function keep(name: keyof typeof NAMES, value: string | undefined): void {
  if (value) localStorage.setItem(NAMES[name], value);
  else localStorage.removeItem(NAMES[name]);
}

const STORE = "drafts";
const KEY = "current";

/** The draft of last time; undefined where there is none, or nothing may be kept. */
export async function readDraft<T>(): Promise<T | undefined> {
  return within<T>("readonly", (store) => store.get(KEY)).catch(() => undefined);
}

export async function writeDraft(draft: unknown): Promise<void> {
  await within("readwrite", (store) => store.put(draft, KEY)).catch(() => undefined);
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("videomaker", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function within<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest): Promise<T> {
  const database = await open();
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result as T);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}
