select 1 as visitor
