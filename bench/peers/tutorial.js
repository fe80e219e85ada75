// The stack of a typical JWT tutorial: Express, jsonwebtoken with a string secret, bcryptjs at ten rounds, and the
// user read from SQLite on each request. Where tutorials differ, this takes the faster way.
import bcrypt from 'bcryptjs';
import Database from 'better-sqlite3';
import cors from 'cors';
import express from 'express';
import helmet from 'helmet';
import jwt from 'jsonwebtoken';
import morgan from 'morgan';

const JWT_SECRET = 'the secret of the tutorial, in one string';
const SALT_ROUNDS = 10;

const [, , password, people] = process.argv;

const db = new Database('tutorial.db');
db.pragma('journal_mode = WAL');
db.exec(`CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  username TEXT NOT NULL UNIQUE,
  email TEXT NOT NULL UNIQUE,
  password TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)`);
const findById = db.prepare('SELECT id, username, email, created_at FROM users WHERE id = ?');
const findByEmail = db.prepare('SELECT * FROM users WHERE email = ?');
const addUser = db.prepare('INSERT INTO users (username, email, password) VALUES (?, ?, ?)');

const tokenFor = (id) => jwt.sign({ userId: id }, JWT_SECRET, { expiresIn: '1h' });

const hash = bcrypt.hashSync(password, SALT_ROUNDS);
const tokens = db.transaction(() =>
  Array.from({ length: Number(people) }, (_, number) =>
    tokenFor(addUser.run(`person${number}`, `person${number}@example.com`, hash).lastInsertRowid),
  ),
)();

function authenticate(req, res, next) {
  const token = req.headers.authorization?.split(' ')[1];
  if (!token) return res.status(401).json({ message: 'No token provided' });
  try {
    const { userId } = jwt.verify(token, JWT_SECRET);
    req.user = findById.get(userId);
  } catch {
    return res.status(401).json({ message: 'Invalid token' });
  }
  if (!req.user) return res.status(401).json({ message: 'User not found' });
  next();
}

const app = express();
app.use(helmet());
app.use(cors());
app.use(express.json());
app.use(morgan('combined'));

// oxlint-disable-next-line oxc/no-async-endpoint-handlers -- Express 5 handles the rejection.
app.post('/api/auth/login', async (req, res) => {
  const user = findByEmail.get(req.body.email);
  if (!user || !(await bcrypt.compare(req.body.password, user.password)))
    return res.status(401).json({ message: 'Invalid credentials' });
  res.json({ token: tokenFor(user.id) });
});

app.get('/api/me', authenticate, (req, res) => res.json({ user: req.user }));

const server = app.listen(0, () => {
  process.stdout.write(`${JSON.stringify({ port: server.address().port, tokens })}\n`);
});
process.once('SIGTERM', () => process.exit(0));
