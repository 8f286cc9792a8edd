"""Forty faults, and the tests that show what happens; all are there."""

import ast
import pathlib

import pytest

from rlvr_jax import laws

TESTS = pathlib.Path(__file__).parents[1]
# By fault: file and what its tests are called.
ROWS = {
  "1 killed in sampling": (
    ("faults/test_interrupted_run.py", "test_killed_at_every_kind_of_moment"),
    ("faults/test_interrupted_run.py", "test_killed_then_stopped_by_sigterm"),
  ),
  "2 killed in an update": (
    ("faults/test_interrupted_run.py", "test_killed_at_every_kind_of_moment"),
  ),
  "3 killed while a checkpoint is saved": (
    ("faults/test_saving.py", "test_what_a_killed_save_left_is_removed"),
    ("faults/test_interrupted_run.py", "test_killed_at_every_kind_of_moment"),
  ),
  "4 killed while an old checkpoint is deleted": (
    ("faults/test_interrupted_run.py", "test_killed_at_every_kind_of_moment"),
  ),
  "5 asked to stop": (
    ("faults/test_interrupted_run.py", "test_killed_then_stopped_by_sigterm"),
    ("faults/test_interrupted_run.py", "test_stopped_in_sampling_a_step_is"),
    ("faults/test_preemption.py", "test_only_what_is_on_disk_ends_with"),
  ),
  "6 one of two processes is asked to stop": (
    ("faults/test_processes.py", "test_sigterm_to_one_process_saves_one_step"),
  ),
  "7 asked to stop again while saving": (
    ("faults/test_interrupted_run.py", "test_killed_then_stopped_by_sigterm"),
    ("faults/test_preemption.py", "test_a_signal_only_asks_however_often"),
  ),
  "8 a process dies": (
    ("faults/test_processes.py", "test_a_lost_process_ends_the_others"),
    ("faults/test_processes.py", "test_an_exception_in_one_process_ends"),
  ),
  "9 the disk is full": (
    ("faults/test_saving.py", "test_a_failed_save_is_told_and_leaves"),
    ("faults/test_saving.py", "test_the_third_failed_save_in_a_row"),
    ("faults/test_saving.py", "test_the_last_step_is_tried_again"),
  ),
  "10 the folder cannot be written, or vanishes": (
    ("faults/test_saving.py", "test_a_folder_that_cannot_be_written_is_told"),
    ("faults/test_saving.py", "test_a_folder_that_vanished_is_made_again"),
  ),
  "11 an array file is cut": (
    ("faults/test_damage.py", "test_the_checkpoint_before_a_damaged_one"),
  ),
  "12 a bit of an array is flipped": (
    ("faults/test_damage.py", "test_every_one_of_twenty_flipped_bits_is_found"),
    ("faults/test_digest.py", "test_every_single_flipped_bit_changes"),
    ("faults/test_interrupted_run.py", "test_killed_then_stopped_by_sigterm"),
  ),
  "13 a manifest is damaged or gone": (
    ("faults/test_damage.py", "test_the_checkpoint_before_a_damaged_one"),
    ("faults/test_damage.py", "test_a_changed_note_is_damage"),
  ),
  "14 every checkpoint is damaged": (
    ("faults/test_damage.py", "test_nothing_whole_left_stops_with_all"),
  ),
  "15 a checkpoint is of another chain": (
    ("faults/test_damage.py", "test_another_chain_is_told_with_the_switch"),
    ("faults/test_damage.py", "test_a_new_chain_keeps_all_but"),
  ),
  "16 a checkpoint is of another model": (
    ("faults/test_damage.py", "test_another_model_is_told_with_both_shapes"),
  ),
  "17 a checkpoint is read on another mesh": (
    ("faults/test_damage.py", "test_a_state_is_the_same_on_another_mesh"),
    ("faults/test_damage.py", "test_a_run_goes_on_alike_on_another_mesh"),
  ),
  "18 a run goes on with other processes": (
    ("faults/test_processes.py", "test_a_run_goes_on_with_another_number"),
  ),
  "19 a loss is not finite": (
    ("faults/test_guards.py", "test_a_harmful_update_is_skipped_counted"),
  ),
  "20 a gradient or a reward is not finite": (
    ("faults/test_guards.py", "test_a_harmful_update_is_skipped_counted"),
    ("faults/test_guards.py", "test_a_row_whose_numbers_are_not_finite"),
    ("faults/test_guards.py", "test_a_reward_that_is_no_number_is_unknown"),
  ),
  "21 nothing is finite any more": (
    ("faults/test_dump.py", "test_the_run_stops_at_the_fifth_refused"),
    ("faults/test_dump.py", "test_the_replay_gives_the_same_numbers"),
  ),
  "22 a gradient is a spike": (
    ("faults/test_guards.py", "test_a_harmful_update_is_skipped_counted"),
    ("test_guard.py", "test_a_spike_is_refused_only_once"),
  ),
  "23 padding holds junk": (
    ("test_methods.py", "test_the_method_keeps_the_law"),
  ),
  "24 nothing is left to learn from": (
    ("test_methods.py", "test_the_method_keeps_the_law"),
  ),
  "25 log-probs are extreme": (
    ("test_methods.py", "test_the_method_keeps_the_law"),
    ("faults/test_extremes.py", "test_ratios_beyond_all_bounds_are_clipped"),
  ),
  "26 the sampler's log-probs are wrong": (
    ("faults/test_mismatch.py", "test_log_probs_of_the_neighbouring_token"),
    ("faults/test_mismatch.py", "test_a_temperature_on_one_side_is_named"),
    ("faults/test_mismatch.py", "test_log_probs_of_the_truncated"),
    ("faults/test_mismatch.py", "test_an_end_that_does_not_count_is_named"),
    ("faults/test_mismatch.py", "test_padding_that_is_read_as_text_is_named"),
    ("faults/test_mismatch.py", "test_positions_that_count_the_padding"),
    ("faults/test_mismatch.py", "test_the_first_step_also_of_a_resumed_run"),
  ),
  "27 sampler and trainer drift apart": (
    ("faults/test_mismatch.py", "test_at_learning_rate_0_nothing_drifts"),
  ),
  "28 an answer makes the verifier hang": (
    ("test_maths.py", "test_hostile_answers_are_never_right_run_nothing"),
    ("test_maths.py", "test_a_comparison_that_takes_too_long_is_unknown"),
    ("test_pool.py", "test_all_faults_at_once_leave_the_rest_as_it_is"),
    ("test_lint.py", "test_every_regular_expression_takes_linear_time"),
  ),
  "29 a worker eats memory, leaves, crashes or ignores signals": (
    ("test_pool.py", "test_a_faulty_job_is_unknown_and_no_other_is"),
    ("test_pool.py", "test_a_program_that_ends_leaves_no_process"),
    ("test_pool.py", "test_an_idle_worker_that_was_killed_costs_no_verdict"),
  ),
  "30 an answer is code, huge or not text": (
    ("faults/test_hostile_answers.py", "test_no_hostile_text_is_right_runs"),
    ("test_maths.py", "test_no_text_is_run_as_python_by_whatever_path"),
    ("test_maths.py", "test_answers_that_are_too_large_are_wrong_at_once"),
    ("test_extract.py", "test_hostile_texts_are_read_in_no_time"),
    ("test_lint.py", "test_no_file_runs_or_unpickles_what_others_wrote"),
  ),
  "31 too many grades are unknown": (
    ("test_grading.py", "test_many_unknown_rewards_stop_the_run"),
    ("faults/test_hostile_answers.py", "test_a_grader_that_fails_on_too_many"),
  ),
  "32 a reference cannot be parsed": (
    ("test_filters.py", "test_a_reference_that_cannot_be_parsed_is_an_error"),
    ("test_maths.py", "test_references_are_checked_when_data_are_loaded"),
    ("test_code.py", "test_a_reference_without_tests_is_told"),
  ),
  "33 a program attacks the machine": (
    ("faults/test_code_sandbox.py", "test_a_hostile_program_ends_in_time"),
    ("faults/test_code_sandbox.py", "test_no_attempt_to_leave_the_sandbox"),
    ("faults/test_code_sandbox.py", "test_a_program_inherits_no_environment"),
    ("faults/test_code_sandbox.py", "test_a_machine_without_namespaces"),
    ("test_code.py", "test_programs_run_only_if_both_options_say_so"),
  ),
  "34 weights are a pickle or bring code": (
    ("faults/test_weights.py", "test_a_pickle_offered_as_weights_is_refused"),
    ("faults/test_weights.py", "test_a_config_that_asks_for_too_much"),
    ("test_hf_refused.py", "test_a_config_that_does_not_fit_is_refused"),
    ("test_hf_tokenizer.py", "test_a_tokenizer_that_is_code_is_refused"),
  ),
  "35 safetensors are damaged": (
    ("faults/test_weights.py", "test_a_file_that_lies_about_itself"),
    ("faults/test_weights.py", "test_a_link_that_leads_out_of_the_folder"),
    ("faults/test_weights.py", "test_a_digest_that_is_given_must_be_that"),
    ("test_hf_refused.py", "test_a_wrong_tensor_is_refused_by_name"),
    ("test_hf_refused.py", "test_a_truncated_file_is_refused"),
    ("test_hf_refused.py", "test_an_index_cannot_point_outside_the_folder"),
  ),
  "36 a configuration is wrong": (
    ("test_config.py", "test_a_bad_config_is_told_by_name_value_and_remedy"),
    ("test_config.py", "test_no_mistake_hides_another"),
    ("test_fuzz.py", "test_an_edited_configuration_is_right_or_names_the"),
  ),
  "37 a dataset is wrong": (
    ("test_sources.py", "test_a_file_without_rows_is_told"),
    ("test_sources.py", "test_a_missing_field_names_those_that_are_there"),
    ("test_sources.py", "test_a_column_that_is_not_utf_8_is_told_with_its_row"),
    ("test_sources.py", "test_a_line_that_is_not_utf_8_is_told"),
    ("test_sources.py", "test_a_truncated_parquet_file_is_told"),
    ("test_filters.py", "test_prompts_that_are_empty_too_long_or_repeated"),
    ("test_filters.py", "test_duplicate_ids_of_different_problems_are"),
    ("test_files.py", "test_what_is_dropped_leaves_the_order_of_the_rest"),
  ),
  "38 memory runs out": (
    ("faults/test_memory.py", "test_running_out_tells_the_table"),
    ("faults/test_memory.py", "test_a_run_that_does_not_fit_ends_with"),
  ),
  "39 a program would be compiled again": (
    ("faults/test_recompilation.py", "test_ten_steps_of_all_kinds_are_one"),
    ("faults/test_recompilation.py", "test_a_program_traced_again_names"),
    ("faults/test_recompilation.py", "test_prompts_of_two_widths_are_two"),
  ),
  "40 files of numbers, terminals and clocks fail": (
    ("faults/test_writers.py", "test_a_deleted_file_is_made_again"),
    ("faults/test_writers.py", "test_lines_wait_while_they_cannot_be_written"),
    ("faults/test_writers.py", "test_steps_stay_in_order_when_the_clock"),
    ("faults/test_writers.py", "test_a_program_goes_on_when_nobody_reads"),
  ),
}

# What every method is put through is a law, which the tests of methods try.
BY_LAW = {
  "23 padding holds junk": laws.ignores_padding,
  "24 nothing is left to learn from": laws.survives_extremes,
  "25 log-probs are extreme": laws.survives_extremes,
}


def test_there_are_forty():
  assert [int(name.split()[0]) for name in ROWS] == [*range(1, 41)]


@pytest.mark.parametrize("row", ROWS)
def test_every_fault_has_its_tests(row):
  for file, start in ROWS[row]:
    tree = ast.parse((TESTS / file).read_text())
    names = [n.name for n in tree.body if isinstance(n, ast.FunctionDef)]
    assert any(name.startswith(start) for name in names), (file, start)


@pytest.mark.parametrize("row", BY_LAW)
def test_a_fault_of_every_method_is_one_of_the_laws_that_are_tried(row):
  tried = ("test_methods.py", "test_the_method_keeps_the_law")
  assert BY_LAW[row] in laws.LAWS and tried in ROWS[row]
