// Two issuers on one loopback port, for the tests of identity: a certified OpenID provider, and a
// small stand-in for a Kubernetes cluster, whose tokens the test words itself. The test steers both
// over /control. First argument: the port. Prints one line when it listens.
import http from 'node:http';
import crypto from 'node:crypto';
import Provider from 'oidc-provider';

const port = Number(process.argv[2]);
const base = `http://127.0.0.1:${port}`;
const audience = 'api://bartizan-test';
const counts = { provider: 0, cluster: 0 };
let serial = 0;

function make(kind) {
  const options = {
    rsa: ['rsa', { modulusLength: 2048 }],
    ec: ['ec', { namedCurve: 'P-256' }],
    ed: ['ed25519', {}],
  }[kind];
  const { privateKey } = crypto.generateKeyPairSync(...options);
  serial += 1;
  return { kid: `${kind}-${serial}`, kind, privateKey };
}

function jwk(key, withPrivate) {
  const source = withPrivate ? key.privateKey : crypto.createPublicKey(key.privateKey);
  const alg = { rsa: 'RS256', ec: 'ES256', ed: 'EdDSA' }[key.kind];
  return { ...source.export({ format: 'jwk' }), kid: key.kid, use: 'sig', alg };
}

function sign(key, header, claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part(header)}.${part(claims)}`;
  const secret = { key: key.privateKey, dsaEncoding: 'ieee-p1363' };
  const digest = key.kind === 'ed' ? null : 'sha256';
  return `${signed}.${crypto.sign(digest, Buffer.from(signed), secret).toString('base64url')}`;
}

let own = [make('rsa')];
const foreign = { rsa: make('rsa'), ec: make('ec'), ed: make('ed') };
const cluster = [make('rsa'), make('ec'), make('ed')];
let clusterSays = null;

function provider() {
  return new Provider(base, {
    jwks: { keys: own.map((key) => jwk(key, true)) },
    clients: [{
      client_id: 'scorer',
      client_secret: 'only-on-loopback',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    }],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: 'score',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: 'RS256', kid: own[0].kid } },
        }),
      },
    },
    extraTokenClaims: () => ({ groups: ['fraud-team'], roles: ['Model.Infer'] }),
  });
}

let current = provider().callback();

const body = async (request) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString() || '{}');
};

const server = http.createServer(async (request, response) => {
  const say = (value) => {
    response.setHeader('content-type', 'application/json');
    response.end(typeof value === 'string' ? value : JSON.stringify(value));
  };
  switch (request.url) {
    case '/cluster/.well-known/openid-configuration':
      return say({ issuer: `${base}/cluster`, jwks_uri: `${base}/cluster/keys` });
    case '/cluster/keys':
      counts.cluster += 1;
      return say(clusterSays ?? { keys: cluster.map((key) => jwk(key, false)) });
    case '/control/counts':
      return say(counts);
    case '/control/rotate':
      // The new key signs from now on, the old one is still published.
      own = [make('rsa'), own[0]];
      current = provider().callback();
      return say({ kid: own[0].kid });
    case '/control/say':
      clusterSays = (await body(request)).text;
      return say({});
    case '/control/sign': {
      // A token of the cluster, or of somebody else's key of the same name and kind.
      const { kind = 'rsa', header = {}, claims, forged = false } = await body(request);
      const key = cluster.find((one) => one.kind === kind);
      const alg = { rsa: 'RS256', ec: 'ES256', ed: 'EdDSA' }[kind];
      const whole = { alg, kid: key.kid, typ: 'JWT', ...header };
      return say({ token: sign(forged ? foreign[kind] : key, whole, claims) });
    }
    default:
      if (request.url === '/jwks') counts.provider += 1;
      return current(request, response);
  }
});
server.listen(port, '127.0.0.1', () => console.log(`listening ${base}`));
