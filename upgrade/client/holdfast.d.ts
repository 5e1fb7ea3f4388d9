export = Holdfast;
export as namespace Holdfast;

/** Holds channels. It begins by itself once the page's script has put its listeners on. */
declare class Holdfast {
  constructor(channels: string | string[], options?: Holdfast.Options);

  /** What a status light shows. */
  readonly state: Holdfast.State;
  /** How the connection stays open; empty unless live. */
  readonly transport: Holdfast.Transport | "";
  /** Another tab holds the connection for this one. */
  readonly shared: boolean;

  on<T extends keyof Holdfast.Events>(type: T, listener: (this: Holdfast, value: Holdfast.Events[T]) => void): this;
  off<T extends keyof Holdfast.Events>(type: T, listener: (this: Holdfast, value: Holdfast.Events[T]) => void): this;

  /**
   * Requests a URL when live, after a gap, and after each message that was published without data. The pages' requests are
   * spread over this many milliseconds for each subscriber (default 1). A failed request is made again later.
   */
  refetch(url: string, done: (this: Holdfast, response: XMLHttpRequest) => void, spread?: number): this;

  /** Begins again after close() or a refusal, and tries at once while waiting. */
  open(): this;
  /** Ends it; another tab takes the shared connection over. */
  close(): void;
}

/** Without new it is the same. */
declare function Holdfast(channels: string | string[], options?: Holdfast.Options): Holdfast;

declare namespace Holdfast {
  type State = "connecting" | "live" | "waiting" | "offline";
  type Transport = "websocket" | "sse" | "longpoll";

  interface Options {
    /** The push URL. Default: where the script came from, else "/_push". */
    url?: string;
    /** What to try, in this order. Default: all three. */
    transports?: Transport[];
    /** One connection for all tabs with the same channels; a string sets tabs apart, such as a user's name. Default: true. */
    share?: boolean | string;
    /**
     * Resume after this id, which the app read before the state that the page shows. Empty or null: from now on.
     * Default: the content of <meta name="holdfast-last-id">, if the page has it.
     */
    lastId?: string | null;
    /** Most milliseconds between two tries. Default: 30000. */
    maxDelay?: number;
  }

  interface Message {
    /** Opaque; lastId of a later client may be this. */
    id: string;
    channel: string;
    event?: string;
    /** A JSON value, or the text that was published. */
    data: any;
    /** Set if data is binary data in base64. */
    encoding?: "base64";
  }

  interface StateEvent {
    state: State;
    transport: Transport | "";
    /** Why it is offline: no network, a refusal, or close(). */
    reason: "" | "network" | "refused" | "closed";
    /** Milliseconds until the next try, while waiting. */
    retryIn: number;
    shared: boolean;
    /** While live: the messages since the page's last id come, or a gap tells. False: fetch the state now. */
    resumed: boolean;
  }

  interface Events {
    message: Message;
    state: StateEvent;
    /** Messages of this channel may be missing; what follows is complete again. */
    gap: { channel: string };
    /** Holdfast or the app said no; nothing is tried until open(). */
    refused: { status: number; error: string };
  }
}
