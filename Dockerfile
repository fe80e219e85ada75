# Building needs the development dependencies. No install scripts: none is needed here, and some download browsers and
# databases for the tests.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY vite.config.ts vite.server.config.ts ./
COPY src src
RUN node node_modules/vite/bin/vite.js build && node node_modules/vite/bin/vite.js build --config vite.server.config.ts

FROM node:24-slim
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force && mkdir data node_modules/.cache && chown node data node_modules/.cache
COPY drizzle drizzle
COPY src src
COPY --from=build /app/dist dist
# The code belongs to root, so that the server can change only its data and, unless the file system is read-only, its compile cache.
USER node
# Starts and stops the server once, so that its compiled code is in the image, which is read-only later. As the user who runs it,
# because Node keeps such code apart by user. PostgreSQL's part is loaded by a start that finds no database and fails.
RUN export JWT_ACCESS_SECRET="$(head -c 48 /dev/urandom | base64 -w 0)" JWT_REFRESH_SECRET="$(head -c 48 /dev/urandom | base64 -w 0)"; \
  DATABASE_URL=postgres://127.0.0.1:1/none node src/server/launch.js || true; \
  DATABASE_URL=file::memory: node src/server/launch.js & \
  until node -e "fetch('http://127.0.0.1:3000/readyz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"; do kill -0 $! || exit 1; sleep 0.2; done; \
  kill $! && wait $!
VOLUME /app/data
EXPOSE 3000
# Of the process, not of the database: a restart does not help when the database is away.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT ?? 3000}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "src/server/launch.js"]
