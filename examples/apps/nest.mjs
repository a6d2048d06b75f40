// NestJS over HTTPS. In TypeScript the last lines of each class are decorators.
import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { Controller, Get, Module, Post, Req } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

class AppController {
  hello() {
    return 'hello from Nest';
  }
  echo(request) {
    return text(request);
  }
}
const decorate = (name, ...decorators) => {
  const { prototype } = AppController;
  for (const each of decorators) each(prototype, name, Object.getOwnPropertyDescriptor(prototype, name));
};
decorate('hello', Get());
decorate('echo', Post('echo'));
Req()(AppController.prototype, 'echo', 0);
Controller()(AppController);

class AppModule {}
Module({ controllers: [AppController] })(AppModule);

const httpsOptions = { key: readFileSync('server.key'), cert: readFileSync('server.crt') };
const app = await NestFactory.create(AppModule, { httpsOptions, logger: false, bodyParser: false });
app.enableShutdownHooks();
await app.listen(process.env.PORT ?? 8443, '127.0.0.1');
console.log('listening', app.getHttpServer().address().port);
