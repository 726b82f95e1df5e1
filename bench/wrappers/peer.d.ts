// What stands beside a wrapper when it runs: the peer.
declare const peer: any;
export default peer;
