// A Worker in a hidden frame, for pages opened from a folder (file://), where browsers allow no real one.
// The search of the theme runs in it; over HTTP this file does nothing.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      const inside = frame.contentWindow, early = [];
      const load = (address) => new Promise((done) => {
        const script = inside.document.createElement("script");
        script.src = address;
        script.onload = done;
        inside.document.body.appendChild(script);
      });
      inside.postMessage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        if (this.onmessage) this.onmessage(event);
      };
      inside.importScripts = (...addresses) => addresses.reduce((all, one) => all.then(() => load(one)), Promise.resolve());
      this.postMessage = (data) => early.push(data);
      load(url).then(() => {
        this.postMessage = (data) => inside.dispatchEvent(new inside.MessageEvent("message", { data }));
        early.forEach((data) => this.postMessage(data));
      });
    }
    terminate() {}
  };
}
