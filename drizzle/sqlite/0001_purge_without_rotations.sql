DROP INDEX `sessions_issued_at`;--> statement-breakpoint
ALTER TABLE `sessions` ADD `indexed_issued_at` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
UPDATE `sessions` SET `indexed_issued_at` = `issued_at`;--> statement-breakpoint
CREATE INDEX `sessions_indexed_issued_at` ON `sessions` (`indexed_issued_at`);