DROP INDEX "sessions_issued_at";--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "indexed_issued_at" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX "sessions_indexed_issued_at" ON "sessions" USING btree ("indexed_issued_at");